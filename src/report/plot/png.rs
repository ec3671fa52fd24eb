//! SVG to PNG, with the fonts that are compiled in.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

use super::PlotError;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Renders a picture at its own size, one pixel a unit.
///
/// # Errors
/// [`PlotError::Svg`] when `svg` is none, [`PlotError::Png`] when it has no area or cannot be encoded.
pub fn render(svg: &str) -> Result<Vec<u8>, PlotError> {
    let options =
        usvg::Options { fontdb: FONTS.clone(), font_family: "DejaVu Sans".to_owned(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| PlotError::Svg(error.to_string()))?;
    let size = tree.size().to_int_size();
    let mut image = Pixmap::new(size.width(), size.height())
        .ok_or_else(|| PlotError::Png(format!("{} by {} pixels", size.width(), size.height())))?;
    resvg::render(&tree, Transform::identity(), &mut image.as_mut());
    image.encode_png().map_err(|error| PlotError::Png(error.to_string()))
}
