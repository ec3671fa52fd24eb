//! EC2 instances: lifecycle states and billing (ASG-12, EC2-23, EC2-24).
