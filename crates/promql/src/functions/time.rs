//! Calendar functions, in UTC.

const DAY_SECONDS: i128 = 86_400;

/// The earliest moment the reference's calendar knows, in seconds from the epoch. What is earlier
/// wraps around to 2^64 seconds later.
const EARLIEST: i64 = -9_223_372_028_715_321_600;

/// A calendar function of a time in seconds.
pub(crate) type Calendar = fn(i128) -> i64;

/// The calendar function called `name`.
pub(crate) fn by_name(name: &str) -> Option<Calendar> {
    Some(match name {
        "year" => |s| date(s).0,
        "month" => |s| i64::from(date(s).1),
        "day_of_month" => |s| i64::from(date(s).2),
        // The epoch was a Thursday, day 4 of a week that begins with Sunday.
        "day_of_week" => |s| (day(s) + 4).rem_euclid(7),
        "day_of_year" => |s| day(s) - days_from_civil(date(s).0, 1, 1) + 1,
        "days_in_month" => |s| {
            let (year, month, _) = date(s);
            let next = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            days_from_civil(next.0, next.1, 1) - days_from_civil(year, month, 1)
        },
        "hour" => |s| second_of_day(s) / 3600,
        "minute" => |s| second_of_day(s) % 3600 / 60,
        _ => return None,
    })
}

/// Applies a calendar function to a value, cut to whole seconds.
pub(crate) fn apply(calendar: Calendar, value: f64) -> f64 {
    calendar(whole_seconds(value)) as f64
}

/// What the reference makes of a time: NaN, infinities and what else 64 bits cannot hold become
/// the lowest number they can, which its calendar takes for the year 292277026596.
fn whole_seconds(value: f64) -> i128 {
    let seconds = if value >= i64::MIN as f64 && value < i64::MAX as f64 {
        value as i64
    } else {
        i64::MIN
    };
    let wrapped = if seconds < EARLIEST { 1 << 64 } else { 0 };
    i128::from(seconds) + wrapped
}

fn day(seconds: i128) -> i64 {
    seconds.div_euclid(DAY_SECONDS) as i64
}

fn second_of_day(seconds: i128) -> i64 {
    seconds.rem_euclid(DAY_SECONDS) as i64
}

fn date(seconds: i128) -> (i64, u32, u32) {
    civil_from_days(day(seconds))
}

/// Year, month and day of a day counted from the epoch.
///
/// Counts in eras of 400 years, 146,097 days each, in years that begin on the first of March, so
/// that the leap day is the last.
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let from_march = days + 719_468;
    let era = from_march.div_euclid(146_097);
    let day_of_era = from_march.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The day counted from the epoch; the reverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, seconds: f64) -> f64 {
        apply(by_name(name).unwrap(), seconds)
    }

    #[test]
    fn calendar() {
        // 2016-12-31 13:37:00, a leap year's last day.
        let t = 1_483_191_420.0;
        let names = [
            ("year", 2016.0),
            ("month", 12.0),
            ("day_of_month", 31.0),
            ("day_of_week", 6.0),
            ("day_of_year", 366.0),
            ("days_in_month", 31.0),
            ("hour", 13.0),
            ("minute", 37.0),
        ];
        for (name, expected) in names {
            assert_eq!(of(name, t), expected, "{name}");
        }
        assert_eq!(of("days_in_month", 1_454_284_800.0), 29.0);
        assert_eq!(of("year", -1.0), 1969.0);
    }

    #[test]
    fn times_no_calendar_holds() {
        // As Prometheus 3.5 answers.
        for t in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9.3e18, -9.3e18] {
            assert_eq!(of("year", t), 292_277_026_596.0);
            assert_eq!((of("month", t), of("day_of_month", t)), (12.0, 4.0));
            assert_eq!((of("day_of_week", t), of("day_of_year", t)), (0.0, 339.0));
            assert_eq!((of("hour", t), of("minute", t)), (15.0, 30.0));
        }
        assert_eq!(of("year", 9.2e18), 291_536_396_232.0);
        assert_eq!(of("year", -9.2e18), -291_536_392_293.0);
        assert_eq!(of("minute", 9.223_372_036_854_77e18), 47.0);
        assert_eq!(of("day_of_year", -1e17), 117.0);
    }

    #[test]
    fn days_there_and_back() {
        for days in (-800_000..800_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }
}
