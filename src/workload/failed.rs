//! Requests that are not answered as they should be, by cause.

/// Failed requests by cause; whole numbers where requests are simulated one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Failed {
    /// No task could take them: 503 of an Application Load Balancer.
    pub no_healthy_target: f64,
    /// They were not answered within the time that the client or the balancer waits: 504, or 460 when the client leaves first.
    pub timeout: f64,
    /// The task's backlog was full, or nothing listened: 502.
    pub connection_refused: f64,
    /// The task died over them: 502.
    pub task_killed: f64,
    /// The application itself answered with an error: a 5xx of the target.
    pub application_error: f64,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// See [`Failed::no_healthy_target`].
    NoHealthyTarget,
    /// See [`Failed::timeout`].
    Timeout,
    /// See [`Failed::connection_refused`].
    ConnectionRefused,
    /// See [`Failed::task_killed`].
    TaskKilled,
    /// See [`Failed::application_error`].
    ApplicationError,
}

impl FailureCause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::NoHealthyTarget, Self::Timeout, Self::ConnectionRefused, Self::TaskKilled, Self::ApplicationError];

    /// Its name in metrics, as in `requests_failed_timeout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHealthyTarget => "no_healthy_target",
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::TaskKilled => "task_killed",
            Self::ApplicationError => "application_error",
        }
    }

    /// The metric of a service that counts the requests that failed of it.
    pub const fn metric(self) -> &'static str {
        match self {
            Self::NoHealthyTarget => "requests_failed_no_healthy_target",
            Self::Timeout => "requests_failed_timeout",
            Self::ConnectionRefused => "requests_failed_connection_refused",
            Self::TaskKilled => "requests_failed_task_killed",
            Self::ApplicationError => "requests_failed_application_error",
        }
    }
}

impl Failed {
    /// All of them.
    pub fn total(&self) -> f64 {
        FailureCause::ALL.iter().map(|cause| self.of(*cause)).sum()
    }

    /// Those of one cause.
    pub const fn of(&self, cause: FailureCause) -> f64 {
        match cause {
            FailureCause::NoHealthyTarget => self.no_healthy_target,
            FailureCause::Timeout => self.timeout,
            FailureCause::ConnectionRefused => self.connection_refused,
            FailureCause::TaskKilled => self.task_killed,
            FailureCause::ApplicationError => self.application_error,
        }
    }

    /// Counts `requests` more that failed of `cause`.
    pub const fn count(&mut self, cause: FailureCause, requests: f64) {
        let counted = match cause {
            FailureCause::NoHealthyTarget => &mut self.no_healthy_target,
            FailureCause::Timeout => &mut self.timeout,
            FailureCause::ConnectionRefused => &mut self.connection_refused,
            FailureCause::TaskKilled => &mut self.task_killed,
            FailureCause::ApplicationError => &mut self.application_error,
        };
        *counted += requests;
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        for cause in FailureCause::ALL {
            self.count(cause, other.of(cause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_count_and_a_name_of_its_own() {
        let mut failed = Failed::default();
        for (cause, requests) in FailureCause::ALL.into_iter().zip([1.0, 10.0, 100.0, 1_000.0, 10_000.0]) {
            failed.count(cause, requests);
            assert_eq!(cause.metric().strip_prefix("requests_failed_"), Some(cause.as_str()));
        }
        assert_eq!(failed.total(), 11_111.0);
        let mut twice = failed;
        twice.add(&failed);
        assert!(FailureCause::ALL.iter().all(|cause| twice.of(*cause) == 2.0 * failed.of(*cause)));
    }
}
