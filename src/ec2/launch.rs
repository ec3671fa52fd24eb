//! What a group launches next: zone, type and market (ASG-2, ASG-33, ASG-34).
