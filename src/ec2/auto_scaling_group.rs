//! Auto Scaling groups: size bounds, balance over zones, protection (ASG-1…12).
