//! Which points one of several machines runs, told by hand or by the scheduler of an array job.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Shard `number` of `count`, from 1; it runs every `count`-th point, so that neighbours go to different machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 1 to `count`.
    pub number: u32,
    /// How many there are.
    pub count: u32,
}

/// Why a shard cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not `I/N` with `1 <= I <= N`.
    #[error("`{0}` is no shard; write `1/4` to `4/4`, or `auto` in an array job")]
    Malformed(String),
    /// `auto` outside of any array job.
    #[error(
        "`--shard auto` needs an array job: none of AWS_BATCH_JOB_ARRAY_INDEX, SLURM_ARRAY_TASK_ID and \
         JOB_COMPLETION_INDEX is set"
    )]
    NoArrayJob,
    /// The scheduler says which, not of how many.
    #[error("{0} says which shard this is, and nothing says of how many; add `--shards N`")]
    NoCount(&'static str),
    /// The array has another size than the command line says: part of it, submitted again, counts anew.
    #[error(
        "{variable} is {said} and `--shards` is {count}: part of an array cannot tell its shards; name each, as in \
         `--shard 3/{count}`"
    )]
    Disagree {
        /// Its name.
        variable: &'static str,
        /// What it says.
        said: u64,
        /// What the command line says.
        count: u32,
    },
    /// A variable holds no number.
    #[error("{variable} is `{value}`, which is no index")]
    NotANumber {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
    },
    /// An index beyond the count.
    #[error("{variable} is shard {number} and there are {count}{hint}")]
    Beyond {
        /// Its name.
        variable: &'static str,
        /// The shard it would be, from 1.
        number: u64,
        /// How many there are.
        count: u32,
        /// What may be wrong.
        hint: &'static str,
    },
}

impl Shard {
    /// Reads `2/4`.
    ///
    /// # Errors
    /// [`ShardError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ShardError> {
        let malformed = || ShardError::Malformed(text.to_owned());
        let (number, count) = text.split_once('/').ok_or_else(malformed)?;
        let (Ok(number), Ok(count)) = (number.trim().parse(), count.trim().parse()) else { return Err(malformed()) };
        if number < 1 || number > count {
            return Err(malformed());
        }
        Ok(Self { number, count })
    }

    /// What the variables of an array job say; `count` is what the command line says, which Kubernetes does not.
    ///
    /// AWS Batch counts from 0 (AWS_BATCH_JOB_ARRAY_INDEX of AWS_BATCH_JOB_ARRAY_SIZE), Slurm from SLURM_ARRAY_TASK_MIN
    /// in steps of SLURM_ARRAY_TASK_STEP, an Indexed Job of Kubernetes from 0. Batch on Kubernetes sets its own as well,
    /// so Batch is asked first.
    ///
    /// # Errors
    /// [`ShardError`].
    pub fn from_environment(
        variable: impl Fn(&'static str) -> Option<String>,
        count: Option<u32>,
    ) -> Result<Self, ShardError> {
        const BATCH: &str = "AWS_BATCH_JOB_ARRAY_INDEX";
        const SLURM: &str = "SLURM_ARRAY_TASK_ID";
        const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
        let number = |name: &'static str| -> Result<Option<u64>, ShardError> {
            let Some(value) = variable(name).filter(|value| !value.trim().is_empty()) else { return Ok(None) };
            let parsed = value.trim().parse().map_err(|_| ShardError::NotANumber { variable: name, value })?;
            Ok(Some(parsed))
        };
        let counted = |name, size: Option<&'static str>| -> Result<u32, ShardError> {
            let said = size.map(number).transpose()?.flatten();
            if let (Some(variable), Some(said), Some(count)) = (size, said, count)
                && said != u64::from(count)
            {
                return Err(ShardError::Disagree { variable, said, count });
            }
            let said = said.and_then(|said| u32::try_from(said).ok());
            count.or(said).filter(|count| *count > 0).ok_or(ShardError::NoCount(name))
        };
        let within = |variable, index: u64, count: u32, hint| {
            let number = index.saturating_add(1);
            match u32::try_from(number) {
                Ok(number) if number <= count => Ok(Self { number, count }),
                _ => Err(ShardError::Beyond { variable, number, count, hint }),
            }
        };
        if let Some(index) = number(BATCH)? {
            return within(BATCH, index, counted(BATCH, Some("AWS_BATCH_JOB_ARRAY_SIZE"))?, "");
        }
        if let Some(id) = number(SLURM)? {
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let count = counted(SLURM, Some("SLURM_ARRAY_TASK_COUNT"))?;
            let gaps = "; number the tasks without gaps, as in `sbatch --array=0-9`";
            return within(SLURM, id.saturating_sub(first) / step, count, gaps);
        }
        if let Some(index) = number(KUBERNETES)? {
            return within(KUBERNETES, index, counted(KUBERNETES, None)?, "; `--shards` is the Job's `completions`");
        }
        Err(ShardError::NoArrayJob)
    }

    /// Whether it runs the point of this place.
    pub const fn holds(self, point: usize) -> bool {
        point as u64 % self.count as u64 == self.number as u64 - 1
    }

    /// The name of its folder: in order of number when sorted.
    pub fn folder(self) -> String {
        let width = self.count.to_string().len();
        format!("shard-{:0width$}-of-{}", self.number, self.count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&'static str, &str)], count: Option<u32>) -> Result<String, String> {
        let lookup =
            |name: &'static str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        Shard::from_environment(lookup, count).map(|s| s.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_point_belongs_to_one_shard() {
        for count in [1, 3, 7] {
            for point in 0..40 {
                let holders = (1..=count).filter(|number| Shard { number: *number, count }.holds(point)).count();
                assert_eq!(holders, 1, "point {point} of {count} shards");
            }
        }
        assert_eq!(Shard::parse("2/10").unwrap().folder(), "shard-02-of-10");
        for text in ["0/4", "5/4", "1", "a/b", "-1/4", "1/0", "4294967296/4294967297"] {
            assert!(Shard::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_array_jobs_of_three_schedulers_are_understood() {
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "3"), ("AWS_BATCH_JOB_ARRAY_SIZE", "8")];
        assert_eq!(told(&batch, None).unwrap(), "4/8");
        let on_kubernetes = [batch[0], batch[1], ("JOB_COMPLETION_INDEX", "0")];
        assert_eq!(told(&on_kubernetes, None).unwrap(), "4/8");
        assert_eq!(told(&batch[..1], Some(5)).unwrap(), "4/5");
        let slurm = |id: &'static str| {
            [("SLURM_ARRAY_TASK_ID", id), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "1")]
        };
        assert_eq!((told(&slurm("1"), None).unwrap(), told(&slurm("4"), None).unwrap()), ("1/4".into(), "4/4".into()));
        let strided = [slurm("5")[0], slurm("5")[1], slurm("5")[2], ("SLURM_ARRAY_TASK_STEP", "2")];
        assert_eq!(told(&strided, None).unwrap(), "3/4");
        assert_eq!(told(&[("JOB_COMPLETION_INDEX", "0")], Some(2)).unwrap(), "1/2");
    }

    #[test]
    fn what_an_array_job_leaves_open_is_asked_for() {
        assert!(told(&[], None).unwrap_err().contains("needs an array job"));
        assert!(told(&[("JOB_COMPLETION_INDEX", "0")], None).unwrap_err().contains("--shards N"));
        assert!(told(&[("JOB_COMPLETION_INDEX", "2")], Some(2)).unwrap_err().contains("completions"));
        assert!(told(&[("AWS_BATCH_JOB_ARRAY_INDEX", "x")], Some(2)).unwrap_err().contains("`x`"));
        let gap = [("SLURM_ARRAY_TASK_ID", "9"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "1")];
        assert!(told(&gap, None).unwrap_err().contains("without gaps"));
        // Tasks 3 and 17 of a hundred, submitted again alone.
        let again = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_ARRAY_TASK_MIN", "3")];
        let refusal = told(&again, Some(100)).unwrap_err();
        assert!(refusal.contains("SLURM_ARRAY_TASK_COUNT is 2") && refusal.contains("--shard 3/100"), "{refusal}");
    }
}
