//! The texts a scenario is made of: its file, the files it includes, and the overrides of the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One text, with the name a reader knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Path as the user gave it, or `--set PATH=VALUE`.
    pub(crate) name: String,
    /// The whole text.
    pub(crate) text: Arc<str>,
    /// Folder that relative paths in it start from.
    pub(crate) folder: PathBuf,
}

/// All texts of one scenario; a [`Place`] points into one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

/// Which text a place is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(u32);

/// A span of one text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The text.
    pub(crate) source: SourceId,
    /// First byte.
    pub(crate) start: usize,
    /// Length in bytes.
    pub(crate) len: usize,
}

impl Sources {
    /// Adds a text.
    pub(crate) fn add(&mut self, name: String, text: String, folder: &Path) -> SourceId {
        let id = SourceId(u32::try_from(self.0.len()).expect("a scenario has fewer than 2^32 texts"));
        self.0.push(Source { name, text: text.into(), folder: folder.to_owned() });
        id
    }

    /// The text behind an id of this collection.
    pub(crate) fn get(&self, id: SourceId) -> &Source {
        &self.0[id.0 as usize]
    }

    /// Every text, in the order they were read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The text at a place; empty when the place does not lie on character boundaries.
    pub(crate) fn text(&self, place: Place) -> &str {
        self.get(place.source).text.get(place.start..place.start + place.len).unwrap_or_default()
    }

    /// Line and column of a place, both from 1; columns count characters.
    pub(crate) fn line_and_column(&self, place: Place) -> (usize, usize) {
        let text = &self.get(place.source).text;
        let before = text.get(..place.start.min(text.len())).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl Place {
    /// The part of this place from byte `offset` on, `len` bytes long, kept within the place.
    pub(crate) fn within(self, offset: usize, len: usize) -> Self {
        let offset = offset.min(self.len.saturating_sub(1));
        Self { source: self.source, start: self.start + offset, len: len.clamp(1, (self.len - offset).max(1)) }
    }
}
