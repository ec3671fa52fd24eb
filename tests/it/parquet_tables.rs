//! `--parquet`: every table a second time, with typed columns, and the same bytes however it came about.

use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use crate::cli::{Desk, EXAMPLE, code, text};

const SWEEP: [&str; 8] = [
    "sweep",
    "small.yaml",
    "--replications",
    "2",
    "--vary",
    "autoScalingGroups.g.MaxSize=2,4",
    "--vary",
    "autoScalingGroups.g.InstanceType=m5.large,c5.large",
];

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    desk
}

fn done(desk: &Desk, args: &[&str], more: &[&str]) {
    let output = desk.ecsim(&[args, more].concat());
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
}

/// The columns of a Parquet file with their types, and its rows.
fn read(path: &Path) -> (Vec<String>, Vec<Vec<Field>>) {
    let reader = SerializedFileReader::try_from(path).expect("a Parquet file");
    let fields = reader.metadata().file_metadata().schema().get_fields().to_vec();
    let columns = fields.iter().map(|field| format!("{} {}", field.name(), field.get_physical_type())).collect();
    let rows = reader.get_row_iter(None).expect("rows");
    let cells = |row: parquet::record::Row| row.into_columns().into_iter().map(|(_, cell)| cell).collect();
    (columns, rows.map(|row| cells(row.expect("a row"))).collect())
}

/// Checks that each CSV file of a folder has a Parquet file beside it that says the same; returns how many there are.
fn assert_same_tables(desk: &Desk, folder: &str) -> usize {
    let files = desk.bytes(folder);
    let is = |path: &Path, kind| path.extension().is_some_and(|extension| extension == kind);
    let tables: Vec<_> = files.iter().filter(|(path, _)| is(path, "csv")).collect();
    for (path, csv) in &tables {
        let name = path.display();
        let (columns, rows) = read(&desk.path(folder).join(path).with_extension("parquet"));
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let heading: Vec<String> = reader.headers().expect("a heading").iter().map(str::to_owned).collect();
        let names: Vec<&str> = columns.iter().map(|column| column.rsplit_once(' ').expect("a type").0).collect();
        assert_eq!(names, heading, "{name}");
        let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a row")).collect();
        assert_eq!(rows.len(), records.len(), "{name}");
        for (row, record) in rows.iter().zip(&records) {
            for (cell, text) in row.iter().zip(record) {
                let same = match cell {
                    Field::Null => text.is_empty(),
                    Field::Str(value) => value == text,
                    Field::Double(value) => text.parse() == Ok(*value),
                    Field::Long(value) => text == value.to_string(),
                    Field::Bool(value) => text == value.to_string(),
                    other => panic!("{name}: {other:?}"),
                };
                assert!(same, "{name}: {cell:?} for `{text}`");
            }
        }
    }
    assert_eq!(files.keys().filter(|path| is(path, "parquet")).count(), tables.len());
    tables.len()
}

#[test]
fn every_table_of_a_run_is_there_as_parquet_with_its_types() {
    let desk = desk();
    let run = ["run", "small.yaml", "--replications", "2", "--no-report"];
    done(&desk, &run, &["--parquet", "--threads", "1", "--out", "typed"]);
    assert_eq!(assert_same_tables(&desk, "typed"), 8);
    let typed = desk.bytes("typed");
    let columns = |name: &str| read(&desk.path("typed").join(name)).0.join(", ");
    assert_eq!(columns("series.parquet"), "time_s DOUBLE, resource BYTE_ARRAY, metric BYTE_ARRAY, value DOUBLE");
    assert_eq!(columns("summary.parquet"), "replication INT64, metric BYTE_ARRAY, value DOUBLE, unit BYTE_ARRAY");
    let (columns, tasks) = read(&desk.path("typed/tasks.parquet"));
    let times = ["created_s", "pending_s", "running_s", "stopping_s", "stopped_s"];
    assert_eq!(columns[8..13], times.map(|name| format!("{name} DOUBLE")));
    assert_eq!(columns[13..], ["stop_code", "stopped_reason"].map(|name| format!("{name} BYTE_ARRAY")));
    assert!(tasks.iter().any(|task| task[12] == Field::Null), "some task still runs at the end");

    done(&desk, &run, &["--parquet", "--threads", "2", "--out", "again"]);
    assert!(typed == desk.bytes("again"), "the same bytes on two threads");
    done(&desk, &run, &["--out", "plain"]);
    let without: Vec<_> = typed.iter().filter(|(path, _)| path.extension() != Some("parquet".as_ref())).collect();
    assert_eq!(without, desk.bytes("plain").iter().collect::<Vec<_>>(), "nothing else is written otherwise");
}

#[test]
fn comparisons_and_their_variants_have_parquet_too() {
    let desk = desk();
    done(&desk, &["compare", "small.yaml", "--replications", "2", "--no-report"], &["--parquet", "--out", "both"]);
    // Eight tables of each variant, and the comparison's.
    assert_eq!(assert_same_tables(&desk, "both"), 17);
}

#[test]
fn a_merged_sweep_has_the_parquet_of_one_that_was_never_cut() {
    let desk = desk();
    done(&desk, &SWEEP, &["--parquet", "--out", "whole"]);
    assert_eq!(assert_same_tables(&desk, "whole"), 1);
    let whole = desk.bytes("whole");
    let (columns, _) = read(&desk.path("whole/sweep.parquet"));
    assert_eq!(
        columns[..3],
        ["point INT64", "autoScalingGroups.g.MaxSize INT64", "autoScalingGroups.g.InstanceType BYTE_ARRAY"]
    );
    for shard in ["1/2", "2/2"] {
        done(&desk, &SWEEP, &["--shard", shard, "--out", "parts"]);
    }
    done(&desk, &["merge", "parts"], &["--parquet", "--out", "merged"]);
    assert!(whole == desk.bytes("merged"));
}
