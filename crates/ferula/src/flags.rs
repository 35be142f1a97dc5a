//! Every flag of `ferula serve`, in one table: parser, help text, `/api/v1/status/flags` and
//! the treatment of Prometheus's own flags all come from here.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: `--flag` or `--no-flag`.
    Switch,
    /// A value.
    Value,
    /// A value, as often as one likes.
    Values,
}

/// What a flag does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// What its help says.
    Works,
    /// Nothing: taken so that a Prometheus command line works, with the reason for a warning.
    None(&'static str),
    /// Setting it to anything but its default is an error, with the reason.
    Refused(&'static str),
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// The value when it is not given; empty for none.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) effect: Effect,
}

const fn works(
    name: &'static str,
    takes: Takes,
    default: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        takes,
        default,
        help,
        effect: Effect::Works,
    }
}

const fn idle(name: &'static str, takes: Takes, default: &'static str, why: &'static str) -> Flag {
    Flag {
        name,
        takes,
        default,
        help: "",
        effect: Effect::None(why),
    }
}

const fn refused(
    name: &'static str,
    takes: Takes,
    default: &'static str,
    why: &'static str,
) -> Flag {
    Flag {
        name,
        takes,
        default,
        help: "",
        effect: Effect::Refused(why),
    }
}

use Takes::{Switch, Value, Values};

const ALWAYS_ON: &str = "this is always on";
const OWN_BLOCKS: &str = "blocks have a format and a rhythm of their own";
const NO_CONSOLES: &str = "console templates do not exist";
const NO_RULES: &str = "rules and alerts are not served yet";
const NO_REMOTE: &str = "sending to and reading from remote stores is not served yet";
const GO_ONLY: &str = "it steers the Go runtime";
const LATER: &str = "it is not served yet";
const NO_START_TIMESTAMPS: &str = "start timestamps are not stored yet";

/// All flags, Ferula's own and Prometheus's.
pub(crate) const FLAGS: &[Flag] = &[
    works(
        "config.file",
        Value,
        "",
        "Prometheus configuration file. Without one, Ferula scrapes itself",
    ),
    works(
        "storage.path",
        Value,
        "ferula-data",
        "Where samples are kept",
    ),
    works(
        "storage.tsdb.path",
        Value,
        "",
        "The same as --storage.path, under Prometheus's name",
    ),
    works(
        "storage.ack",
        Value,
        "durable",
        "When a write is acknowledged: `durable`, once it is synced to disk, or `memory`, at once, with the last 100 ms at risk",
    ),
    works(
        "storage.head-bytes-max",
        Value,
        "8GiB",
        "Bytes of samples held in memory; beyond, writes wait for blocks to be cut, or are refused",
    ),
    works(
        "storage.blocks-path",
        Value,
        "",
        "Where blocks, checkpoints and manifests are kept, if not in --storage.path: so the log can be on a faster disk",
    ),
    works(
        "storage.block-cache-bytes-max",
        Value,
        "64MiB",
        "Bytes of memory for what queries read of blocks",
    ),
    works(
        "storage.tsdb.retention.time",
        Value,
        "",
        "How long samples are kept; 0 for ever, 15d if no retention is given. Blocks expire as a whole",
    ),
    works(
        "storage.tsdb.retention.size",
        Value,
        "0",
        "How many bytes of blocks and log are kept; 0 for any number. The oldest blocks go first",
    ),
    works(
        "storage.tsdb.min-block-duration",
        Value,
        "2h",
        "The span of time a block covers when it is cut from memory",
    ),
    works(
        "storage.tsdb.max-block-duration",
        Value,
        "",
        "The span of time that blocks are merged up to; a tenth of the retention time, at most 31d, if it is not given",
    ),
    works(
        "web.listen-address",
        Value,
        "127.0.0.1:9090",
        "Address to serve HTTP on",
    ),
    works(
        "web.max-connections",
        Value,
        "512",
        "Connections served at once",
    ),
    works(
        "web.read-timeout",
        Value,
        "5m",
        "How long a client may take to send a request's head",
    ),
    works(
        "web.enable-lifecycle",
        Switch,
        "false",
        "Serve /-/reload and /-/quit",
    ),
    works(
        "web.enable-admin-api",
        Switch,
        "false",
        "Serve /api/v1/admin: deleting series, snapshots",
    ),
    works(
        "query.lookback-delta",
        Value,
        "5m",
        "How far back an instant selector looks for a sample",
    ),
    works("query.timeout", Value, "2m", "How long a query may run"),
    works(
        "query.max-concurrency",
        Value,
        "20",
        "Queries that run at once; more wait, and tenants that wait take turns",
    ),
    works(
        "query.max-queued",
        Value,
        "512",
        "Queries that may wait for their turn; beyond, they are refused",
    ),
    works(
        "query.max-samples",
        Value,
        "50000000",
        "Samples one query may hold in memory",
    ),
    works(
        "query.bytes-max",
        Value,
        "1GiB",
        "Bytes one query may hold in memory",
    ),
    works(
        "query.bytes-max-total",
        Value,
        "4GiB",
        "Bytes all queries together may hold in memory, their answers on the way out included",
    ),
    works("log.level", Value, "info", "debug, info, warn or error"),
    works("log.format", Value, "logfmt", "logfmt or json"),
    works(
        "enable-feature",
        Values,
        "",
        "Prometheus feature flags, separated by commas: promql-experimental-functions, promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal, promql-per-step-stats, use-start-timestamps, type-and-unit-labels. Others have no effect",
    ),
    idle(
        "web.enable-remote-write-receiver",
        Switch,
        "false",
        ALWAYS_ON,
    ),
    idle(
        "web.remote-write-receiver.accepted-protobuf-messages",
        Values,
        "",
        "remote write 1.0 is served",
    ),
    idle("web.console.templates", Value, "consoles", NO_CONSOLES),
    idle(
        "web.console.libraries",
        Value,
        "console_libraries",
        NO_CONSOLES,
    ),
    idle(
        "web.page-title",
        Value,
        "",
        "the page has a title of its own",
    ),
    idle("web.max-notifications-subscribers", Value, "16", LATER),
    idle("web.search.max-limit", Value, "10000", LATER),
    idle("web.cors.origin", Value, ".*", "every origin is allowed"),
    refused(
        "web.config.file",
        Value,
        "",
        "TLS and authentication of the server are not served yet",
    ),
    refused("web.external-url", Value, "", LATER),
    refused("web.route-prefix", Value, "", LATER),
    refused("web.user-assets", Value, "", "there are no user assets"),
    refused(
        "web.enable-otlp-receiver",
        Switch,
        "false",
        "OTLP is not received yet",
    ),
    refused(
        "config.auto-reload",
        Switch,
        "false",
        "reload with SIGHUP or /-/reload",
    ),
    idle(
        "config.auto-reload-interval",
        Value,
        "30s",
        "there is no automatic reload",
    ),
    idle(
        "storage.tsdb.no-lockfile",
        Switch,
        "false",
        "the lock costs nothing and always holds",
    ),
    idle(
        "storage.tsdb.head-chunks-write-queue-size",
        Value,
        "0",
        OWN_BLOCKS,
    ),
    idle(
        "storage.tsdb.delay-compact-file.path",
        Value,
        "",
        OWN_BLOCKS,
    ),
    idle(
        "storage.tsdb.delayed-compaction.max-percent",
        Value,
        "10",
        OWN_BLOCKS,
    ),
    idle(
        "storage.tsdb.max-block-chunk-segment-size",
        Value,
        "",
        OWN_BLOCKS,
    ),
    idle(
        "storage.tsdb.wal-compression",
        Switch,
        "true",
        "the log has a format of its own",
    ),
    idle(
        "storage.tsdb.wal-compression-type",
        Value,
        "snappy",
        "the log has a format of its own",
    ),
    idle(
        "storage.tsdb.wal-segment-size",
        Value,
        "128MB",
        "the log has a format of its own",
    ),
    idle(
        "storage.tsdb.samples-per-chunk",
        Value,
        "120",
        "chunks have a length of their own",
    ),
    idle(
        "storage.tsdb.allow-overlapping-compaction",
        Switch,
        "true",
        OWN_BLOCKS,
    ),
    idle(
        "storage.tsdb.block-reload-interval",
        Value,
        "1m",
        OWN_BLOCKS,
    ),
    idle("storage.remote.flush-deadline", Value, "1m", NO_REMOTE),
    idle(
        "storage.remote.read-sample-limit",
        Value,
        "50000000",
        NO_REMOTE,
    ),
    idle(
        "storage.remote.read-concurrent-limit",
        Value,
        "10",
        NO_REMOTE,
    ),
    idle(
        "storage.remote.read-max-bytes-in-frame",
        Value,
        "1048576",
        NO_REMOTE,
    ),
    idle("rules.alert.for-outage-tolerance", Value, "1h", NO_RULES),
    idle("rules.alert.for-grace-period", Value, "10m", NO_RULES),
    idle("rules.alert.resend-delay", Value, "1m", NO_RULES),
    idle("rules.max-concurrent-evals", Value, "4", NO_RULES),
    idle(
        "alertmanager.notification-queue-capacity",
        Value,
        "10000",
        NO_RULES,
    ),
    idle(
        "alertmanager.notification-batch-size",
        Value,
        "256",
        NO_RULES,
    ),
    idle(
        "alertmanager.drain-notification-queue-on-shutdown",
        Switch,
        "true",
        NO_RULES,
    ),
    idle("scrape.adjust-timestamps", Switch, "true", ALWAYS_ON),
    idle(
        "scrape.timestamp-tolerance",
        Value,
        "2ms",
        "it is always 2 ms",
    ),
    idle(
        "scrape.discovery-reload-interval",
        Value,
        "5s",
        "changes are applied within 5 s",
    ),
    idle("auto-gomaxprocs", Switch, "true", GO_ONLY),
    idle("auto-gomemlimit", Switch, "true", GO_ONLY),
    idle("auto-gomemlimit.ratio", Value, "0.9", GO_ONLY),
    idle("auto-gomemlimit.refresh-interval", Value, "0s", GO_ONLY),
    refused("agent", Switch, "false", "agent mode is not served yet"),
    refused(
        "storage.agent.path",
        Value,
        "",
        "agent mode is not served yet",
    ),
    refused(
        "storage.agent.retention.min-time",
        Value,
        "",
        "agent mode is not served yet",
    ),
    refused(
        "storage.agent.retention.max-time",
        Value,
        "",
        "agent mode is not served yet",
    ),
    refused(
        "storage.agent.no-lockfile",
        Switch,
        "false",
        "agent mode is not served yet",
    ),
    refused(
        "storage.agent.wal-compression",
        Switch,
        "true",
        "agent mode is not served yet",
    ),
];

/// Feature flags that do something.
const FEATURES: [&str; 7] = [
    "promql-experimental-functions",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
    "promql-delayed-name-removal",
    "promql-per-step-stats",
    "use-start-timestamps",
    "type-and-unit-labels",
];

/// Prometheus's feature flags that do nothing here, and why.
const IDLE_FEATURES: [(&str, &str); 4] = [
    ("promql-duration-expr", ALWAYS_ON),
    ("st-storage", NO_START_TIMESTAMPS),
    ("histograms-st-encoding", NO_START_TIMESTAMPS),
    ("xor2-encoding", "chunks have a format of their own"),
];

/// Why a feature flag does nothing; `None` if it does something.
pub(crate) fn idle_feature(name: &str) -> Option<&'static str> {
    if FEATURES.contains(&name) {
        return None;
    }
    let known = IDLE_FEATURES.iter().find(|(idle, _)| *idle == name);
    Some(known.map_or("it is not known or not served yet", |(_, why)| why))
}

/// What was given on a command line.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    matches: ArgMatches,
}

/// Adds all flags to a command.
pub(crate) fn add_to(command: Command) -> Command {
    let mut command = command;
    for flag in FLAGS {
        let base = Arg::new(flag.name)
            .long(flag.name)
            .hide(flag.effect != Effect::Works);
        let help = match flag.default {
            "" => flag.help.to_owned(),
            default => format!("{} [default: {default}]", flag.help),
        };
        command = match flag.takes {
            Switch => {
                let no = format!("no-{}", flag.name);
                let off = Arg::new(no.clone()).long(no.clone()).hide(true);
                let off = off.action(ArgAction::SetTrue);
                command
                    .arg(
                        base.help(help)
                            .action(ArgAction::SetTrue)
                            .overrides_with(no),
                    )
                    .arg(off.overrides_with(flag.name))
            }
            Value => command.arg(
                base.help(help)
                    .value_name("VALUE")
                    .overrides_with(flag.name),
            ),
            Values => command.arg(
                base.help(help)
                    .value_name("VALUE")
                    .action(ArgAction::Append),
            ),
        };
    }
    command
}

impl Given {
    /// Takes what a command with [`add_to`]'s flags was given.
    pub(crate) fn new(matches: ArgMatches) -> Self {
        Self { matches }
    }

    /// Whether the flag stands on the command line.
    fn is_given(&self, flag: &Flag) -> bool {
        match flag.takes {
            Switch => {
                self.matches.get_flag(flag.name)
                    || self.matches.get_flag(&format!("no-{}", flag.name))
            }
            Value | Values => self.matches.contains_id(flag.name),
        }
    }

    fn value_of(&self, flag: &Flag) -> String {
        match flag.takes {
            Switch if self.matches.get_flag(flag.name) => "true".to_owned(),
            Switch if self.matches.get_flag(&format!("no-{}", flag.name)) => "false".to_owned(),
            Switch => flag.default.to_owned(),
            Value => self
                .matches
                .get_one::<String>(flag.name)
                .map_or(flag.default, |v| v)
                .to_owned(),
            Values => {
                let given = self
                    .matches
                    .get_many::<String>(flag.name)
                    .into_iter()
                    .flatten();
                given.map(String::as_str).collect::<Vec<_>>().join(",")
            }
        }
    }

    /// The value of a flag, given or default.
    ///
    /// # Panics
    /// If the table has no such flag.
    pub(crate) fn value(&self, name: &str) -> String {
        let flag = FLAGS
            .iter()
            .find(|f| f.name == name)
            .expect("the name is one of the table's");
        self.value_of(flag)
    }

    /// All flags with their values, for the API.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        FLAGS
            .iter()
            .map(|flag| (flag.name.to_owned(), self.value_of(flag)))
            .collect()
    }

    /// What to tell the user of flags without effect, or the flags that stop the start.
    pub(crate) fn check(&self) -> Result<Vec<String>, Vec<String>> {
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        for flag in FLAGS.iter().filter(|flag| self.is_given(flag)) {
            match flag.effect {
                Effect::Works => {}
                Effect::None(why) => warnings.push(format!("--{} has no effect: {why}", flag.name)),
                Effect::Refused(_) if self.value_of(flag) == flag.default => {}
                Effect::Refused(why) => {
                    errors.push(format!("--{} is not supported: {why}", flag.name))
                }
            }
        }
        if errors.is_empty() {
            Ok(warnings)
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(args: &[&str]) -> Given {
        let command = add_to(Command::new("serve").no_binary_name(true));
        Given::new(command.try_get_matches_from(args).unwrap())
    }

    #[test]
    fn defaults_and_values() {
        let none = given(&[]);
        assert_eq!(none.value("web.listen-address"), "127.0.0.1:9090");
        assert_eq!(none.check(), Ok(vec![]));
        let some = given(&[
            "--web.enable-lifecycle",
            "--enable-feature=a,b",
            "--enable-feature",
            "c",
        ]);
        assert_eq!(some.value("web.enable-lifecycle"), "true");
        assert_eq!(some.value("enable-feature"), "a,b,c");
        assert_eq!(
            given(&["--no-web.enable-lifecycle"]).value("web.enable-lifecycle"),
            "false"
        );
        let last = given(&["--config.file=a", "--config.file=b"]);
        assert_eq!(last.value("config.file"), "b");
    }

    #[test]
    fn prometheus_flags_are_known() {
        let idle = given(&[
            "--storage.tsdb.wal-compression-type=zstd",
            "--no-scrape.adjust-timestamps",
        ]);
        assert_eq!(idle.check().unwrap().len(), 2);
        let refused = given(&["--agent", "--web.config.file=x"]);
        assert_eq!(refused.check().unwrap_err().len(), 2);
        assert_eq!(given(&["--no-agent"]).check(), Ok(vec![]));
    }

    #[test]
    fn features_without_effect_say_why() {
        assert_eq!(idle_feature("use-start-timestamps"), None);
        assert_eq!(idle_feature("st-storage"), Some(NO_START_TIMESTAMPS));
        assert!(idle_feature("warp-drive").is_some_and(|why| why.contains("not known")));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FLAGS.iter().map(|f| f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FLAGS.len());
    }
}
