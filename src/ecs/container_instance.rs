//! Container instances: registered and remaining resources, attributes, status (EC2-*, DRN-1).
