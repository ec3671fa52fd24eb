//! Placement constraints: which container instances may take a task (PLACE-14).

use std::sync::Arc;

use crate::placement::query::Query;

/// A placement constraint of a service, a `RunTask` call or a task definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// No two tasks of the same service or task group on one instance.
    DistinctInstance,
    /// Only instances that match the cluster query.
    MemberOf(Arc<Query>),
}

impl Constraint {
    /// `distinctInstance`, or `memberOf` with its expression.
    pub fn describe(&self) -> String {
        match self {
            Self::DistinctInstance => "distinctInstance".to_owned(),
            Self::MemberOf(query) => format!("memberOf({})", query.text()),
        }
    }
}
