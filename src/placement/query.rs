//! The cluster query language (CQL-1…11).

/// A parsed expression of the cluster query language.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    text: String,
}
