//! Target tracking of services and groups (TT-*).
