//! What AWS answers to a call that it does not carry out.

/// A call refused as AWS refuses it: recorded, and the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// AWS's error code, for example `ClientException`.
    pub code: &'static str,
    /// AWS's words, where they are known.
    pub message: String,
    /// The rule of the specification that refuses.
    pub rule: &'static str,
}
