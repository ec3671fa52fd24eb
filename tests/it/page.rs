//! `report.html` as `run`, `compare` and `plot` write it: what is in it, and what must never be.

use std::path::Path;

use serde_json::Value;

use crate::cli::{Desk, EXAMPLE, code, text};

/// A text that would be script where it is not escaped.
const NASTY: &str = "</script><script>hacked=1</script><img src=x onerror=hacked=1>";

/// The example with a service under load, an objective, and nasty names wherever one is accepted.
fn scenario() -> String {
    let example = EXAMPLE
        .replace("  - name: jobs", &format!("  - name: '{NASTY}'"))
        .replace("image: app", &format!("image: '{NASTY}'"))
        .replace("AutoScalingGroupName: g", "AutoScalingGroupName: 'g<script>'")
        .replace("autoScalingGroupArn: g", "autoScalingGroupArn: 'g<script>'");
    let (example, _) = example.split_once("variants:").expect("the example has variants");
    format!(
        "description: \"{NASTY}\"\n{example}  - {{name: shoppers, utilization: {{service: web, cpu: {{constant: 0.4}}}}}}\n\
         scalableTargets: [{{ResourceId: service/c/web, MinCapacity: 1, MaxCapacity: 3}}]\n\
         scalingPolicies:\n  - {{PolicyName: cpu, ResourceId: service/c/web, PolicyType: TargetTrackingScaling,\n     \
         TargetTrackingScalingPolicyConfiguration: {{TargetValue: 60,\n       \
         PredefinedMetricSpecification: {{PredefinedMetricType: ECSServiceAverageCPUUtilization}}}}}}\n\
         slo: [{{metric: cost_usd, max: 100}}]\n\
         faults: [{{at: 20m, for: 10m, fault: azOutage, with: {{availabilityZone: us-east-1a}}}}]\n\
         variants:\n  small: {{set: {{services.web.desiredCount: 1}}}}\n  \"{NASTY}\": {{set: {{services.web.desiredCount: 3}}}}\n"
    )
}

/// The page without Plotly's own script.
fn own_part(page: &str) -> String {
    let begin = page.find("<script type=\"text/javascript\">").expect("Plotly is in the page");
    let end = begin + page[begin..].find("</script>").expect("it ends");
    assert!(end - begin > 1_000_000, "all of Plotly");
    format!("{}{}", &page[..begin], &page[end..])
}

/// What the page's script is given.
fn data(page: &str) -> Value {
    const OPEN: &str = "<script type=\"application/json\" id=\"data\">";
    let begin = page.find(OPEN).expect("the page has data") + OPEN.len();
    let end = begin + page[begin..].find("</script>").expect("it ends");
    serde_json::from_str(&page[begin..end]).expect("JSON")
}

/// Nothing is fetched, and no text of the scenario is markup or script.
fn assert_sealed(page: &str) {
    let own = own_part(page);
    assert!(page.contains("Content-Security-Policy\" content=\"default-src 'none'"));
    for fetch in ["http://", "https://", " src=", "url(", "<link", "<iframe", "@import", "fetch("] {
        assert!(
            !own.replace("&lt;img src=", "").replace("\\u003cimg src=", "").contains(fetch),
            "the page has `{fetch}`"
        );
    }
    assert_eq!(own.matches("<script").count(), 2, "the data and the page's own script");
    assert!(!own.contains("<img"), "no text has become an element");
}

#[test]
fn a_run_is_on_one_page_that_fetches_nothing_and_is_the_same_each_time() {
    let desk = Desk::new();
    desk.file("nasty.yaml", scenario());
    for (folder, threads) in [("a", "1"), ("b", "2")] {
        let output = desk.ecsim(&["run", "nasty.yaml", "--replications", "2", "--threads", threads, "--out", folder]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("/report.html"), "{}", text(&output.stderr));
    }
    let (first, second) = (desk.bytes("a"), desk.bytes("b"));
    let page = text(&first[Path::new("report.html")]);
    assert!(first[Path::new("report.html")] == second[Path::new("report.html")], "the same run, the same page");
    assert_sealed(&page);
    let data = data(&page);
    for id in ["demand-cpu", "demand-memory", "counts-0", "scaling-0-0", "hosts-by-state", "utilisation-0", "cost"] {
        assert!(page.contains(&format!("data-figure=\"{id}\"")), "no chart {id}");
        let points = data["figures"][id]["data"][0]["x"].as_array().map_or(0, Vec::len);
        assert!(points > 1, "chart {id} has {points} points");
    }
    let traces = data["figures"]["scaling-0-0"]["data"].as_array().expect("traces");
    let names: Vec<&str> = traces.iter().filter_map(|trace| trace["name"].as_str()).collect();
    assert!(names.contains(&"target") && names.contains(&"CPUUtilization measured"), "{names:?}");
    let rules: Vec<&str> = data["details"][0]["log"]["lines"]
        .as_array()
        .expect("a log")
        .iter()
        .filter_map(|line| line[4].as_str())
        .collect();
    assert!(rules.contains(&"PLACE-1") && rules.contains(&"ASG-2"), "{rules:?}");
    let marked = &data["occurrences"];
    assert_eq!((&marked[0]["from_s"], &marked[0]["to_s"]), (&1200.0.into(), &1800.0.into()), "{marked}");
    assert!(page.contains("data-moment=\"1200\"") && page.contains("azOutage us-east-1a"), "a button to the fault");
    let stays = data["details"][0]["map"]["stays"].as_array().map_or(0, Vec::len);
    let on_hosts = text(&first[Path::new("tasks.csv")]).lines().filter(|line| line.contains(",i-")).count();
    assert_eq!(stays, on_hosts, "every task that was on a host is on the map");
    assert_eq!(data["details"][0]["map"]["hosts"][0][8], 2048, "what an m5.large registers");
    for told in ["✓ held", "± ", "ecsim run nasty.yaml --seed 4 --replications 2", "What the figures mean"] {
        assert!(page.contains(told), "`{told}` is not in the page");
    }
}

#[test]
fn the_page_says_how_to_get_the_same_run_again() {
    const OPEN: &str = "<pre class=\"command\" tabindex=\"0\"><code>ecsim ";
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    std::fs::create_dir(desk.path("elsewhere")).expect("a folder");
    desk.file("elsewhere/small.yaml", EXAMPLE);
    let path = desk.path("elsewhere/small.yaml");
    let absolute = path.to_str().expect("UTF-8");
    let changes = ["--set", "services.web.desiredCount=3", "--until", "1h", "--seed", "9"];
    let output = desk.ecsim(&[&["run", absolute, "--out", "a", "--quiet"], &changes[..]].concat());
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let page = text(&desk.bytes("a")[Path::new("report.html")]);
    let begin = page.find(OPEN).expect("the command") + OPEN.len();
    let command = &page[begin..begin + page[begin..].find('<').expect("it ends")];
    assert_eq!(command, "run small.yaml --seed 9 --replications 1 --until 1h --set services.web.desiredCount=3");
    assert!(!page.contains(absolute), "where the file lies is nobody's business");
    let words: Vec<&str> = command.split(' ').chain(["--out", "b", "--quiet"]).collect();
    assert_eq!(code(&desk.ecsim(&words)), 0);
    assert!(desk.bytes("a") == desk.bytes("b"), "typed anew, the command gives the same bytes");
}

#[test]
fn a_comparison_answers_in_words_first_and_shows_every_variant() {
    let desk = Desk::new();
    desk.file("nasty.yaml", scenario());
    let compare = ["compare", "nasty.yaml", "--replications", "3", "--quiet", "--out"];
    for folder in ["a", "b"] {
        let output = desk.ecsim(&[&compare[..], &[folder]].concat());
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    }
    let files = desk.bytes("a");
    let page = text(&files[Path::new("report.html")]);
    assert!(files[Path::new("report.html")] == desk.bytes("b")[Path::new("report.html")]);
    assert_sealed(&page);
    let place = |what: &str| page.find(what).unwrap_or_else(|| panic!("`{what}` is not in the page"));
    assert!(
        place("class=\"headline\"") < place("paired differences") && place("paired differences") < place("<table>")
    );
    assert!(place("<svg class=") < place("id=\"charts\""), "differences with their intervals come before the charts");
    let data = data(&page);
    for id in ["cost-so-far", "hosts", "running-0", "v0-demand-cpu", "v1-demand-cpu"] {
        assert!(page.contains(&format!("data-figure=\"{id}\"")), "no chart {id}");
    }
    let names: Vec<&str> = data["figures"]["hosts"]["data"]
        .as_array()
        .expect("traces")
        .iter()
        .filter_map(|trace| trace["name"].as_str())
        .collect();
    assert_eq!(names, ["small", NASTY]);
    // Log and map of the variant that is chosen; both have the decisions of their own run.
    for id in ["variant", "variant-too", "kinds", "map"] {
        assert!(page.contains(&format!(" id=\"{id}\"")), "nothing to choose with: {id}");
    }
    for (place, (variant, folder)) in
        [("small", "small"), (NASTY, "--script--script-hacked-1--script--img-src-x-onerror-hacked-1-")]
            .into_iter()
            .enumerate()
    {
        let details = &data["details"][place];
        assert_eq!(details["name"], variant);
        let decisions = text(&files[&Path::new(folder).join("decisions.jsonl")]).lines().count();
        assert_eq!(details["log"]["lines"].as_array().map(Vec::len), Some(decisions), "{variant}");
        assert!(details["map"]["stays"].as_array().is_some_and(|stays| !stays.is_empty()), "{variant}");
    }
    assert!(page.contains("<a href=\"small/report.html\">") && files.contains_key(Path::new("small/report.html")));
    let output = desk.ecsim(&["plot", "a"]);
    assert!(text(&output.stdout).contains("report.html"), "{}", text(&output.stdout));
    assert!(desk.bytes("a") == files, "drawn again it is the same");
}

#[test]
fn the_page_can_be_left_out_and_drawn_later() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    let output = desk.ecsim(&["run", "small.yaml", "--no-report", "--out", "a"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("report.html"), "{}", text(&output.stderr));
    let before = desk.bytes("a");
    assert!(!before.contains_key(Path::new("report.html")) && before.contains_key(Path::new("plots/hosts.svg")));
    assert_eq!(code(&desk.ecsim(&["plot", "a"])), 0);
    assert_eq!(code(&desk.ecsim(&["run", "small.yaml", "--out", "b"])), 0);
    assert!(desk.bytes("a") == desk.bytes("b"), "drawn later it is the same");
    let output = desk.ecsim(&["compare", "small.yaml", "--replications", "2", "--no-report", "--out", "c"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!desk.bytes("c").keys().any(|name| name.ends_with("report.html")), "nor the variants' pages");
}

#[test]
fn a_run_in_less_detail_has_charts_but_no_log() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    assert_eq!(code(&desk.ecsim(&["run", "small.yaml", "--detail", "series", "--out", "a"])), 0);
    let page = text(&desk.bytes("a")[Path::new("report.html")]);
    assert!(page.contains("data-figure=\"hosts-by-state\"") && page.contains("--detail full</code>"));
    assert!(!page.contains("id=\"log\"") && !page.contains("id=\"map\""));
    assert_eq!(
        code(&desk.ecsim(&["compare", "small.yaml", "--replications", "2", "--detail", "series", "--out", "c"])),
        0
    );
    let page = text(&desk.bytes("c")[Path::new("report.html")]);
    assert!(
        page.contains("--detail full</code>") && page.contains("--detail series") && !page.contains("id=\"variant\"")
    );
    assert_eq!(code(&desk.ecsim(&["run", "small.yaml", "--detail", "summary", "--out", "b"])), 0);
    assert!(!desk.bytes("b").contains_key(Path::new("report.html")), "figures alone make no page");
}
