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

impl Refused {
    /// A refusal with this code.
    pub fn new(code: &'static str, rule: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), rule }
    }

    /// An `InvalidParameterException`.
    pub fn parameter(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", rule, message)
    }

    /// A `LimitExceededException`.
    pub fn limit(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new("LimitExceededException", rule, message)
    }

    /// A `ValidationError`, as Auto Scaling and Elastic Load Balancing say it.
    pub fn validation(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new("ValidationError", rule, message)
    }
}
