//! What load balancers count of requests (ALBM-1; Elastic Load Balancing, "CloudWatch metrics for your Application Load
//! Balancer").

use crate::stats::WeightedHistogram;
use crate::workload::failed::FailureCause;

/// What a load balancer counts of a target group.
#[derive(Clone, Debug, Default)]
pub(in crate::control_plane) struct GroupTally {
    /// Requests sent.
    pub(in crate::control_plane) requests: f64,
    /// Responses of the balancer itself.
    pub(in crate::control_plane) elb_5xx: f64,
    pub(in crate::control_plane) elb_4xx: f64,
    /// Responses of targets.
    pub(in crate::control_plane) target_2xx: f64,
    pub(in crate::control_plane) target_5xx: f64,
    /// Connections that targets refused.
    pub(in crate::control_plane) connection_errors: f64,
    /// Seconds to the answers of targets.
    pub(in crate::control_plane) response: WeightedHistogram,
}

impl GroupTally {
    pub(in crate::control_plane) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.elb_5xx += other.elb_5xx;
        self.elb_4xx += other.elb_4xx;
        self.target_2xx += other.target_2xx;
        self.target_5xx += other.target_5xx;
        self.connection_errors += other.connection_errors;
        self.response.merge(&other.response);
    }

    /// Requests that failed, as the balancer tells it; `client_leaves_first` says what a time-out looks like.
    pub(in crate::control_plane) fn count(&mut self, cause: FailureCause, requests: f64, client_leaves_first: bool) {
        match cause {
            FailureCause::Timeout if client_leaves_first => self.elb_4xx += requests,
            FailureCause::NoHealthyTarget | FailureCause::Timeout | FailureCause::TaskKilled => {
                self.elb_5xx += requests;
            }
            FailureCause::ConnectionRefused => {
                self.elb_5xx += requests;
                self.connection_errors += requests;
            }
            FailureCause::ApplicationError => self.target_5xx += requests,
        }
    }

    /// Forgets everything, keeping the memory.
    pub(super) fn reset(&mut self) {
        let mut response = std::mem::take(&mut self.response);
        response.reset();
        *self = Self { response, ..Self::default() };
    }
}
