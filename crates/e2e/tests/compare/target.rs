//! A page whose values are a function of time alone and carry their timestamps, so that every
//! server that scrapes it stores the same samples.

use std::fmt::Write as _;

use ferula_e2e::random::Random;

/// Each page is served this long, so that a scraper with half the interval sees every one.
pub(crate) const STEP_MS: i64 = 2_000;

/// Upper bounds of the histogram's buckets.
const BOUNDS: [&str; 6] = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];

/// The page at a moment.
pub(crate) fn page(now_ms: i64) -> String {
    let time = now_ms - now_ms.rem_euclid(STEP_MS);
    let step = time / STEP_MS;
    // Small enough to keep all digits after a million steps.
    let elapsed = step % 1_000_000;
    let mut page = String::new();
    let mut line = |series: &str, value: f64| {
        let value = match value {
            v if v.is_nan() => "NaN".to_owned(),
            v if v == f64::INFINITY => "+Inf".to_owned(),
            v if v == f64::NEG_INFINITY => "-Inf".to_owned(),
            v => v.to_string(),
        };
        let _ = writeln!(page, "{series} {value} {time}");
    };

    line("fixed_constant", 42.0);
    line("fixed_time_seconds", whole(time / 1000));
    line(r#"fixed_info{version="1.2.3",zone="north"}"#, 1.0);
    for (index, path) in ["/a", "/b", "/c"].iter().enumerate() {
        for (code, rate) in [("200", 40), ("500", 3)] {
            let jitter = below(step, &[path, code], u64::try_from(rate).unwrap_or(1));
            let total = elapsed * rate * (1 + i64::try_from(index).unwrap_or(0)) + jitter;
            line(
                &format!(r#"fixed_requests_total{{path="{path}",code="{code}"}}"#),
                whole(total),
            );
        }
    }
    // Starts from zero every eleven seconds or so.
    line(
        "fixed_restarts_total",
        whole(step % 6 * 10 + below(step, &["r"], 10)),
    );
    for shard in ["0", "1", "2", "3"] {
        let value = random(step, &["gauge", shard]).unit() * 100.0 - 20.0;
        line(&format!(r#"fixed_gauge{{shard="{shard}"}}"#), value);
        line(
            &format!(r#"fixed_limit{{shard="{shard}"}}"#),
            50.0 + whole(step % 4),
        );
    }
    for (name, value) in [("nan", f64::NAN), ("inf", f64::INFINITY), ("tiny", 5e-324)] {
        let value = if step % 3 == 0 { -value } else { value };
        line(&format!(r#"fixed_special{{kind="{name}"}}"#), value);
    }
    for path in ["/a", "/b"] {
        let mut below_bound = 0;
        for (index, bound) in BOUNDS.iter().enumerate() {
            let rate = [5, 20, 40, 10, 2, 1][index];
            below_bound += elapsed * rate + below(step, &["h", path, bound], 3);
            line(
                &format!(r#"fixed_latency_seconds_bucket{{path="{path}",le="{bound}"}}"#),
                whole(below_bound),
            );
        }
        line(
            &format!(r#"fixed_latency_seconds_count{{path="{path}"}}"#),
            whole(below_bound),
        );
        line(
            &format!(r#"fixed_latency_seconds_sum{{path="{path}"}}"#),
            whole(elapsed) * 61.5 + whole(below(step, &["s", path], 9)),
        );
    }
    page
}

/// Numbers that belong to a step and a series.
fn random(step: i64, series: &[&str]) -> Random {
    let mut seed = step.unsigned_abs();
    for byte in series.iter().flat_map(|part| part.bytes()) {
        seed = seed.wrapping_mul(31).wrapping_add(u64::from(byte));
    }
    Random::new(seed)
}

fn below(step: i64, series: &[&str], bound: u64) -> i64 {
    i64::try_from(random(step, series).below(bound)).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss)] // all totals are far below 2^53
fn whole(value: i64) -> f64 {
    value as f64
}
