//! Deployments of a service: limits and progress of a rolling update (DEP-1…8).
