//! What a group launches from, by name: launch templates and their versions, launch configurations (ASG-6).
//!
//! What a template holds is not part of a scenario, but for the instance types beside it; its name and version say how
//! outdated an instance is.

/// `LaunchTemplate` or `LaunchConfigurationName`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchSpecification {
    /// A launch template.
    Template {
        /// `LaunchTemplateName` or `LaunchTemplateId`; empty for the one that a bare `InstanceType` stands for.
        name: String,
        /// `Version`; `None` for `$Latest` and `$Default`, which follow the template.
        version: Option<u32>,
    },
    /// A launch configuration.
    Configuration {
        /// `LaunchConfigurationName`.
        name: String,
    },
}

impl Default for LaunchSpecification {
    fn default() -> Self {
        Self::Template { name: String::new(), version: None }
    }
}

/// What an instance was launched from; termination policies ask how outdated that is (ASG-6, ASG-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaunchSource {
    /// A launch configuration; a higher number is a later one.
    Configuration(u32),
    /// A launch template.
    Template {
        /// Which template, numbered as the group came to know them.
        template: u32,
        /// Its version, from 1.
        version: u32,
    },
}

impl Default for LaunchSource {
    fn default() -> Self {
        Self::Template { template: 0, version: 1 }
    }
}

/// The templates and configurations that one group has launched from, in the order in which it was told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSources {
    templates: Vec<String>,
    configurations: Vec<String>,
}

impl KnownSources {
    /// What `specification` means for a group that has launched from `present`.
    ///
    /// `$Latest` of the template that is in use is its present version, or the next one when what the template holds has
    /// `changed`; of any other template it is version 1.
    pub fn resolve(
        &mut self,
        specification: &LaunchSpecification,
        present: Option<LaunchSource>,
        changed: bool,
    ) -> LaunchSource {
        match specification {
            LaunchSpecification::Configuration { name } => {
                LaunchSource::Configuration(number(&mut self.configurations, name))
            }
            LaunchSpecification::Template { name, version } => {
                let template = number(&mut self.templates, name);
                let follows = match present {
                    Some(LaunchSource::Template { template: now, version }) if now == template => {
                        version.saturating_add(u32::from(changed))
                    }
                    _ => 1,
                };
                LaunchSource::Template { template, version: version.unwrap_or(follows) }
            }
        }
    }

    /// A source in words, for decisions: `template ecs version 2`.
    pub fn describe(&self, source: LaunchSource) -> String {
        let named = |names: &[String], place: u32| names.get(place as usize).cloned().unwrap_or_default();
        match source {
            LaunchSource::Configuration(number) => format!("configuration {}", named(&self.configurations, number)),
            LaunchSource::Template { template, version } => match named(&self.templates, template) {
                name if name.is_empty() => format!("template version {version}"),
                name => format!("template {name} version {version}"),
            },
        }
    }
}

fn number(names: &mut Vec<String>, name: &str) -> u32 {
    let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    place as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str, version: Option<u32>) -> LaunchSpecification {
        LaunchSpecification::Template { name: name.to_owned(), version }
    }

    #[test]
    fn asg_6_a_version_is_the_one_named_or_follows_the_template() {
        let mut known = KnownSources::default();
        let first = known.resolve(&template("ecs", Some(3)), None, false);
        assert_eq!(first, LaunchSource::Template { template: 0, version: 3 });
        for (version, changed, expected) in
            [(None, false, 3), (None, true, 4), (Some(5), false, 5), (Some(5), true, 5), (Some(2), true, 2)]
        {
            let next = known.resolve(&template("ecs", version), Some(first), changed);
            assert_eq!(next, LaunchSource::Template { template: 0, version: expected }, "{version:?} {changed}");
        }
        let other = known.resolve(&template("gpu", None), Some(first), true);
        assert_eq!(other, LaunchSource::Template { template: 1, version: 1 });
        assert_eq!(known.describe(first), "template ecs version 3");
    }

    #[test]
    fn asg_6_configurations_are_numbered_as_the_group_came_to_know_them() {
        let mut known = KnownSources::default();
        let configuration = |name: &str| LaunchSpecification::Configuration { name: name.to_owned() };
        let old = known.resolve(&configuration("old"), None, false);
        let new = known.resolve(&configuration("new"), Some(old), true);
        assert_eq!((old, new), (LaunchSource::Configuration(0), LaunchSource::Configuration(1)));
        assert_eq!(known.resolve(&configuration("old"), Some(new), true), old);
        assert_eq!(known.describe(new), "configuration new");
    }
}
