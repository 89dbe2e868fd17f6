//! `bench`: every figure is there, and nothing is left behind.

use agent_otp_tests::Place;
use serde_json::Value;

#[tokio::test]
async fn bench_tells_every_figure_to_a_program() {
    let place = Place::new();
    let options = ["bench", "--seconds", "1", "--mails", "3", "--open", "10,20", "--json"];
    let ended = place.agent_otp(&options).await.well();
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    for rates in ["lives", "bare"] {
        for (index, in_flight) in [1, 64].into_iter().enumerate() {
            let rate = &report[rates][index];
            assert_eq!(rate["in_flight"], in_flight);
            assert!(is_positive(&rate["per_second"]) && is_positive(&rate["p99_ms"]), "{rates}: {rate}");
        }
    }
    assert_eq!(report["data_to_code_ms"]["count"], 3);
    assert!(is_positive(&report["ratio"][1]["ratio"]) && is_positive(&report["open_ratio"]), "{report}");
    assert_eq!((&report["open"][0]["open"], &report["open"][1]["open"]), (&10.into(), &20.into()));
    assert!(is_positive(&report["memory_mib"]["load"]["parties"]), "{report}");
    assert_eq!(report["sync_interval"], "always");
    let dir = ended.stderr.split_whitespace().find(|word| word.contains("agent-otp-bench-")).unwrap();
    assert!(!std::path::Path::new(dir.trim_end_matches(',')).exists(), "{dir} is left");
}

fn is_positive(figure: &Value) -> bool {
    figure.as_f64().is_some_and(|figure| figure > 0.0)
}
