//! Tables as Apache Parquet: made of the finished CSV, so that both hold the same rows in the same order.
//!
//! A table is read and written a row group at a time, so memory does not grow with it. The file depends on nothing but the
//! table: no clock, no machine and no thread leaves a trace in it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use csv::StringRecord;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use crate::report::column::{Column, Kind};

/// Rows of a row group: of the widest table some twenty megabytes in memory.
const ROWS: usize = 1 << 16;

/// Writes the CSV file `from`, which has these columns, as the Parquet file `to`; an empty cell becomes null.
///
/// # Errors
/// Those of the file system, and [`io::ErrorKind::InvalidData`] when a cell is not of its column's kind.
pub(super) fn write(from: &Path, to: &Path, columns: &[Column]) -> io::Result<()> {
    write_in_groups(from, to, columns, ROWS)
}

fn write_in_groups(from: &Path, to: &Path, columns: &[Column], rows: usize) -> io::Result<()> {
    let mut reader = csv::Reader::from_reader(BufReader::new(File::open(from)?));
    if reader.headers()?.iter().ne(columns.iter().map(|column| column.name.as_ref())) {
        return Err(invalid(format!("its heading is `{}`", reader.headers()?.iter().collect::<Vec<_>>().join(","))));
    }
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = BufWriter::new(File::create(to)?);
    let mut writer =
        SerializedFileWriter::new(file, schema(columns).map_err(failed)?, Arc::new(properties)).map_err(failed)?;
    let empty = || -> Vec<Cells> { columns.iter().map(|column| Cells::new(column.kind)).collect() };
    let (mut group, mut held) = (empty(), 0);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record)? {
        for ((cells, text), column) in group.iter_mut().zip(&record).zip(columns) {
            if !cells.push(text) {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(invalid(format!("line {line}: `{text}` in `{}` is no {:?}", column.name, column.kind)));
            }
        }
        held += 1;
        if held == rows {
            write_group(&mut writer, &group).map_err(failed)?;
            (group, held) = (empty(), 0);
        }
    }
    if held > 0 {
        write_group(&mut writer, &group).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)?.flush()
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The file system's error where there was one: its kind and words tell more than "external".
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Number => (Physical::DOUBLE, None),
            Kind::Count => (Physical::INT64, None),
            Kind::Truth => (Physical::BOOLEAN, None),
        };
        let builder = Type::primitive_type_builder(&column.name, physical);
        builder.with_logical_type(logical).with_repetition(Repetition::OPTIONAL).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
}

/// The cells of one column in one row group.
#[derive(Debug)]
struct Cells {
    /// A definition level a row: 1 where there is a value.
    present: Vec<i16>,
    values: Values,
}

/// The values among them, without those that are null.
#[derive(Debug)]
enum Values {
    Texts(Vec<ByteArray>),
    Numbers(Vec<f64>),
    Counts(Vec<i64>),
    Truths(Vec<bool>),
}

impl Cells {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Text => Values::Texts(Vec::new()),
            Kind::Number => Values::Numbers(Vec::new()),
            Kind::Count => Values::Counts(Vec::new()),
            Kind::Truth => Values::Truths(Vec::new()),
        };
        Self { present: Vec::new(), values }
    }

    /// Adds a cell; false when it is not of the column's kind.
    fn push(&mut self, text: &str) -> bool {
        /// Adds what a text reads as, if it does.
        fn read<T: FromStr>(values: &mut Vec<T>, text: &str) -> bool {
            text.parse().is_ok_and(|value| {
                values.push(value);
                true
            })
        }
        self.present.push(i16::from(!text.is_empty()));
        if text.is_empty() {
            return true;
        }
        match &mut self.values {
            Values::Texts(texts) => {
                texts.push(ByteArray::from(text.as_bytes().to_vec()));
                true
            }
            Values::Numbers(numbers) => read(numbers, text),
            Values::Counts(counts) => read(counts, text),
            Values::Truths(truths) => read(truths, text),
        }
    }
}

/// Writes a row group of these cells.
fn write_group<W: io::Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    columns: &[Cells],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for cells in columns {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("more cells than columns".to_owned()));
        };
        let present = Some(cells.present.as_slice());
        match &cells.values {
            Values::Texts(texts) => column.typed::<ByteArrayType>().write_batch(texts, present, None)?,
            Values::Numbers(numbers) => column.typed::<DoubleType>().write_batch(numbers, present, None)?,
            Values::Counts(counts) => column.typed::<Int64Type>().write_batch(counts, present, None)?,
            Values::Truths(truths) => column.typed::<BoolType>().write_batch(truths, present, None)?,
        };
        column.close()?;
    }
    group.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::{Field, Row};

    use super::*;

    const COLUMNS: [Column; 4] =
        [Column::count("replication"), Column::text("metric"), Column::number("value"), Column::truth("held")];

    const TABLE: &str = "replication,metric,value,held\n0,\"a, b\",0.1,true\n1,,,\n-2,ünïcode,-1e-9,false\n";

    fn written(text: &str, rows: usize) -> io::Result<(usize, Vec<Row>, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("t.csv"), folder.path().join("t.parquet"));
        std::fs::write(&from, text).unwrap();
        write_in_groups(&from, &to, &COLUMNS, rows)?;
        let reader = SerializedFileReader::new(File::open(&to).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        Ok((reader.num_row_groups(), rows, std::fs::read(&to).unwrap()))
    }

    #[test]
    fn cells_come_back_with_their_kinds_and_empty_ones_as_null() {
        let (groups, rows, bytes) = written(TABLE, ROWS).unwrap();
        let rows: Vec<Vec<Field>> =
            rows.into_iter().map(|row| row.into_columns().into_iter().map(|(_, cell)| cell).collect()).collect();
        assert_eq!(
            rows,
            [
                [Field::Long(0), Field::Str("a, b".to_owned()), Field::Double(0.1), Field::Bool(true)],
                [Field::Long(1), Field::Null, Field::Null, Field::Null],
                [Field::Long(-2), Field::Str("ünïcode".to_owned()), Field::Double(-1e-9), Field::Bool(false)],
            ]
        );
        assert_eq!(groups, 1);
        assert_eq!(bytes, written(TABLE, ROWS).unwrap().2, "the same table gives the same bytes");
    }

    #[test]
    fn a_long_table_is_cut_into_row_groups() {
        let whole = written(TABLE, ROWS).unwrap().1;
        for (rows, groups) in [(1, 3), (2, 2), (3, 1)] {
            let cut = written(TABLE, rows).unwrap();
            assert_eq!((cut.0, &cut.1), (groups, &whole), "{rows} rows a group");
        }
        let (groups, rows, _) = written("replication,metric,value,held\n", ROWS).unwrap();
        assert_eq!((groups, rows.len()), (0, 0), "a table without rows is a file without row groups");
    }

    #[test]
    fn a_cell_of_another_kind_is_told_with_its_line() {
        let error = written("replication,metric,value,held\n0,a,1,true\n1,a,many,true\n", ROWS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(error.to_string(), "line 3: `many` in `value` is no Number");
        let error = written("time_s,value\n", ROWS).unwrap_err().to_string();
        assert!(error.contains("time_s,value"), "{error}");
    }
}
