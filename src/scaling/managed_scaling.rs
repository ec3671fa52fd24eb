//! Managed scaling of capacity providers: the metric and the reaction (CAS-*).
