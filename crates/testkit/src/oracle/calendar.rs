//! Dates in UTC, counted day by day and year by year (§9.1).

/// Days in a year.
fn year_len(year: i64) -> i64 {
    365 + i64::from(is_leap(year))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days in a month, from 1.
fn month_len(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Year, and day of the year from 0, of a day counted from the epoch.
fn year_and_day(days: i64) -> (i64, i64) {
    let mut year = 1970 + 400 * days.div_euclid(ERA_DAYS);
    let mut left = days.rem_euclid(ERA_DAYS);
    while left >= year_len(year) {
        left -= year_len(year);
        year += 1;
    }
    (year, left)
}

/// Year, month and day of a day counted from the epoch.
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let (year, mut left) = year_and_day(days);
    let mut month = 1;
    while left >= month_len(year, month) {
        left -= month_len(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

/// The calendar function `name` of a time in seconds, cut to whole seconds. What 64 bits do not
/// hold is a moment 2^63 seconds after the epoch.
pub(super) fn call(name: &str, value: f64) -> f64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let fits = value > -LIMIT + 1e11 && value < LIMIT;
    let seconds = if fits { value as i128 } else { 1 << 63 };
    let days = seconds.div_euclid(86_400) as i64;
    let (year, month, day) = date(days);
    let answer = match name {
        "year" => year,
        "month" => month,
        "day_of_month" => day,
        "day_of_year" => year_and_day(days).1 + 1,
        // The epoch was a Thursday.
        "day_of_week" => (days + 4).rem_euclid(7),
        "days_in_month" => month_len(year, month),
        "hour" => seconds.rem_euclid(86_400) as i64 / 3600,
        _ => seconds.rem_euclid(3600) as i64 / 60,
    };
    answer as f64
}
