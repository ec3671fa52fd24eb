//! Services: desired, pending and running counts, deployments (SVC-*).
