//! What every picture has in common: colours, sizes, type.

use plotters::style::RGBColor;

/// The face of all text; it is compiled in, so that a PNG looks the same on every machine.
pub(super) const FONT: &str = "DejaVu Sans, Verdana, sans-serif";

/// Width of a picture [px].
pub(super) const WIDTH: i32 = 1600;
/// Height of a picture with one panel [px].
pub(super) const HEIGHT: i32 = 900;
/// Distance of anything from the border [px].
pub(super) const MARGIN: i32 = 36;
/// Room for the labels of the value axis [px].
pub(super) const GUTTER: i32 = 116;

/// Size of the title [px].
pub(super) const TITLE: i32 = 32;
/// Size of the line below the title [px].
pub(super) const SUBTITLE: i32 = 21;
/// Size of labels, legends and ticks [px].
pub(super) const LABEL: i32 = 20;

/// Text and the lines that carry the message.
pub(in crate::report) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Secondary text.
pub(in crate::report) const FAINT: RGBColor = RGBColor(0x5c, 0x5c, 0x5c);
/// Grid lines.
pub(in crate::report) const GRID: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);
/// Axis lines.
pub(in crate::report) const AXIS: RGBColor = RGBColor(0x99, 0x99, 0x99);
/// Everything that is summed up as "other".
pub(in crate::report) const OTHER: RGBColor = RGBColor(0xb4, 0xb4, 0xb4);

// Okabe and Ito, "Color Universal Design" (2008): eight colours that colour-blind readers can tell apart.
/// Orange.
pub(in crate::report) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
/// Sky blue.
pub(in crate::report) const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
/// Bluish green.
pub(in crate::report) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// Yellow.
pub(in crate::report) const YELLOW: RGBColor = RGBColor(0xf0, 0xe4, 0x42);
/// Blue.
pub(in crate::report) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// Vermilion.
pub(in crate::report) const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// Reddish purple.
pub(in crate::report) const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);

/// Colours for series without a colour of their own, in order; what comes after them is summed up as "other".
pub(in crate::report) const SERIES: [RGBColor; 7] = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW];
