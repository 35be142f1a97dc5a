use proptest::prelude::*;

use super::*;

/// A pattern with values that match and values that do not.
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => panic!("{pattern}: {error}"),
    };
    for (values, want) in [(yes, true), (no, false)] {
        for value in values {
            assert_eq!(regex.is_match(value), want, "{pattern} {value:?}");
            let automaton = regex.0.automaton().is_match(whole(value));
            assert_eq!(automaton, want, "automaton of {pattern} {value:?}");
            let captures = regex.captures(value);
            assert_eq!(captures.and_then(|c| c.get(0)), want.then_some(*value));
        }
    }
}

fn refuse(pattern: &str, problem: &str, expression: &str) {
    let error = match Regex::new(pattern) {
        Ok(_) => panic!("{pattern} is taken"),
        Err(error) => error.to_string(),
    };
    let want = format!("error parsing regexp: {problem}: `{expression}`");
    assert_eq!(error, want);
}

#[test]
fn whole_values_match() {
    check("a", &["a"], &["", "b", "ab", "ba", "a\n"]);
    check("a|b.", &["a", "bc", "b\n"], &["ab", "b"]);
    check("", &[""], &["a"]);
    check("|a", &["", "a"], &["b"]);
    check("^a$", &["a"], &["b", "aa"]);
    check("^^a.+$$", &["ab"], &["a"]);
    check("a^b", &[], &["ab", "a^b"]);
    check("(a|b)*c", &["c", "abac"], &["ab", "dc"]);
    check("a{2}", &["aa"], &["a", "aaa"]);
    check("a{2,}", &["aa", "aaa"], &["a"]);
    check("ab{1,2}", &["ab", "abb"], &["a", "abab"]);
    check("é.", &["éé"], &["é", "\u{c3}"]);
}

#[test]
fn ascii_classes() {
    check(r"\d+", &["09"], &["٣", ""]);
    check(r"\w", &["a", "_", "9"], &["é", "-"]);
    check(r"\s", &["\t", "\n", "\x0c", "\r", " "], &["\x0b", "\u{a0}"]);
    check(r"\D", &["a", "٣"], &["1"]);
    check(r"[\d\S]", &["1", "a", "é"], &[" "]);
    check(r"a\b.b", &["a b"], &["acb"]);
    check(r"é\bb", &["éb"], &[]);
    check(r"é\Bé", &["éé"], &[]);
    check(r"\b{start}", &[], &["", "{start}"]);
    check(r"\<a\>", &["<a>"], &["a"]);
    check("[[:alpha:]][[:^digit:]]", &["az", "Zé"], &["éa", "a1"]);
    check("[[:word:]-]+", &["a-b"], &["a.b"]);
}

#[test]
fn classes() {
    check("[[]", &["["], &["]"]);
    check("[]a]+", &["]a"], &["["]);
    check("[^]a]", &["b", "\n"], &["]", "a"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[-a]", &["a", "-"], &["b"]);
    check("[a&&b]", &["a", "&", "b"], &["c"]);
    check("[a~~b]", &["~"], &["c"]);
    check(r"[\]\-\x41\n]+", &["]-A\n"], &["B"]);
    check(r"[a-c-e]", &["b", "-", "e"], &["d"]);
    check(r"[\x{d7ff}-\x{e000}]", &["\u{d7ff}", "\u{e000}"], &["a"]);
    check(r"[[:x]", &["[", ":", "x"], &["a"]);
    check(r"\p{Greek}\pL\P{Lu}", &["αβγ", "αa1"], &["aβγ", "αβΓ"]);
    check(r"\p{^Greek}\P{^Greek}", &["aα"], &["αa"]);
    check(r"[\pN\p{Thai}]", &["٣", "ก"], &["a"]);
}

#[test]
fn escapes() {
    check(r"\Qa.b*\E+", &["a.b*", "a.b**"], &["aab"]);
    check(r"\Qa\", &[r"a\"], &[]);
    check(r"a\Q\Eb", &["ab"], &[]);
    check(r"\123\0\061", &["S\x001"], &[]);
    check(
        r"\x41\x{1F600}\t\a\f\v\r\n",
        &["A😀\t\x07\x0c\x0b\r\n"],
        &[],
    );
    check(r"\.\*\_\ \/\@", &[".*_ /@"], &[]);
    check(r"\x{d800}", &[], &["\u{fffd}"]);
    check(r"\Aa\z", &["a"], &["b"]);
    for literal in ["a{", "a{x}", "a{,5}", "{", "}", "]", "a{1", "a{1,", "a{01}"] {
        check(literal, &[literal], &["a"]);
    }
}

#[test]
fn flags() {
    check("(?i)abc", &["aBC", "abc"], &["abd"]);
    check("(?i)k[s]", &["Ks", "\u{212a}ſ"], &["kt"]);
    check("(?i)[^a]", &["b"], &["a", "A"]);
    check("(?i)Σ", &["σ", "ς", "Σ"], &["s"]);
    check(r"(?i)\p{Lu}", &["a", "A"], &["1"]);
    check("a(?i)b|c", &["aB", "C"], &["AB"]);
    check("a(?i:b)c", &["aBc"], &["aBC"]);
    check("(a(?i)b)c", &["aBc"], &["aBC"]);
    check("a.b", &["a\nb"], &[]);
    check("(?-s)a.b", &["a b"], &["a\nb"]);
    check("(?-s:.*)x", &["ax"], &["\nx"]);
    check("(?m)a$.^b", &["a\nb"], &["a b"]);
    check("(?m-s:^a$)(?s:.)b", &["a\nb"], &["a b"]);
    let groups = |pattern: &str, value: &str| {
        let regex = Regex::new(pattern).unwrap();
        let captures = regex.captures(value).unwrap();
        captures.get(1).map(str::to_string)
    };
    assert_eq!(groups("(a*)(a*)", "aa").unwrap(), "aa");
    assert_eq!(groups("(?U)(a*)(a*)", "aa").unwrap(), "");
    assert_eq!(groups("(?U)(a*?)(a*)", "aa").unwrap(), "aa");
    assert_eq!(groups("(a*?)(a*)", "aa").unwrap(), "");
}

#[test]
fn groups() {
    let regex = Regex::new("(?P<a>x)|(?<b>y)(?P<a>z)?|(w)").unwrap();
    let all = |value: &'static str| {
        let captures = regex.captures(value).unwrap();
        (0..6)
            .map(|i| captures.get(i).unwrap_or("-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(all("x"), ["x", "x", "-", "-", "-", "-"]);
    assert_eq!(all("yz"), ["yz", "-", "y", "z", "-", "-"]);
    assert_eq!(all("w"), ["w", "-", "-", "-", "w", "-"]);
    let captures = regex.captures("yz").unwrap();
    assert_eq!(captures.name("a"), Some("z"));
    assert_eq!(captures.name("b"), Some("y"));
    assert_eq!(captures.name("c"), None);
    assert_eq!(captures.get(usize::MAX), None);

    let anything = Regex::new("(.*)").unwrap();
    let captures = anything.captures("a\nb").unwrap();
    assert_eq!(
        (captures.get(0), captures.get(1)),
        (Some("a\nb"), Some("a\nb"))
    );
    let none = Regex::new("(a){0}(b)").unwrap();
    let captures = none.captures("b").unwrap();
    assert_eq!((captures.get(1), captures.get(2)), (None, Some("b")));
}

#[test]
fn refused_in_the_words_of_go() {
    refuse("(", "missing closing )", "(");
    refuse("a(b|", "missing closing )", "a(b|");
    refuse("(?i", "invalid or unsupported Perl syntax", "(?i");
    refuse(")", "unexpected )", ")");
    refuse("(a))b", "unexpected )", "(a))b");
    refuse("a[b", "missing closing ]", "[b");
    refuse("[a-", "missing closing ]", "[a-");
    refuse("[]", "missing closing ]", "[]");
    refuse("[z-a]", "invalid character class range", "z-a");
    refuse("[a--b]", "invalid character class range", "a--");
    refuse("[[:word1:]]", "invalid character class range", "[:word1:]");
    refuse(
        r"\p{Nobody}",
        "invalid character class range",
        r"\p{Nobody}",
    );
    refuse(
        r"\p{Script=Greek}",
        "invalid character class range",
        r"\p{Script=Greek}",
    );
    refuse(
        r"\p{alphabetic}x",
        "invalid character class range",
        r"\p{alphabetic}",
    );
    refuse(r"\p{Greek", "invalid character class range", r"\p{Greek");
    refuse(r"\pQ", "invalid character class range", r"\pQ");
    refuse(r"\p", "invalid character class range", r"\p");
    refuse("*", "missing argument to repetition operator", "*");
    refuse("a|+?", "missing argument to repetition operator", "+?");
    refuse("(?i)*", "missing argument to repetition operator", "*");
    refuse(
        "({2,3})",
        "missing argument to repetition operator",
        "{2,3}",
    );
    refuse(r"\Q\E*", "missing argument to repetition operator", "*");
    refuse("a**", "invalid nested repetition operator", "**");
    refuse("a*+b", "invalid nested repetition operator", "*+");
    refuse("a{2}{3}", "invalid nested repetition operator", "{2}{3}");
    refuse("a??+", "invalid nested repetition operator", "??+");
    refuse("a{1001}", "invalid repeat count", "{1001}");
    refuse("a{3,2}?", "invalid repeat count", "{3,2}");
    refuse("a{9876543210,}", "invalid repeat count", "{9876543210,}");
    refuse("a{1,9876543210}", "invalid repeat count", "{1,9876543210}");
    refuse("(a{100}){100}", "invalid repeat count", "{100}");
    refuse("((a{4})*){0,251}", "invalid repeat count", "{0,251}");
    refuse("(?x)", "invalid or unsupported Perl syntax", "(?x");
    refuse("(?u)", "invalid or unsupported Perl syntax", "(?u");
    refuse("(?R)", "invalid or unsupported Perl syntax", "(?R");
    refuse("(?=a)", "invalid or unsupported Perl syntax", "(?=");
    refuse("(?i-)", "invalid or unsupported Perl syntax", "(?i-)");
    refuse("(?", "invalid or unsupported Perl syntax", "(?");
    refuse("(?P=a)", "invalid or unsupported Perl syntax", "(?P");
    refuse("(?P<a", "invalid named capture", "(?P<a");
    refuse("(?P<>a)", "invalid named capture", "(?P<>");
    refuse("(?<a b>c)", "invalid named capture", "(?<a b>");
    refuse("(?<é>c)", "invalid named capture", "(?<é>");
    refuse("(?<=a)b", "invalid named capture", "(?<=a)b");
    refuse(r"a\", "trailing backslash at end of expression", "");
    refuse(r"\u0041", "invalid escape sequence", r"\u");
    refuse(r"\1", "invalid escape sequence", r"\1");
    refuse(r"\8", "invalid escape sequence", r"\8");
    refuse(r"\é", "invalid escape sequence", r"\é");
    refuse(r"\C", "invalid escape sequence", r"\C");
    refuse(r"\x4", "invalid escape sequence", r"\x4");
    refuse(r"\x{110000}", "invalid escape sequence", r"\x{110000");
    refuse(r"\x{}", "invalid escape sequence", r"\x{}");
    refuse(r"[\b]", "invalid escape sequence", r"\b");
    refuse(r"\Z", "invalid escape sequence", r"\Z");
}

#[test]
fn words_are_found() {
    let set = |pattern: &str| {
        let regex = Regex::new(pattern).unwrap();
        regex.set_matches().map(|words| words.join(" "))
    };
    for (pattern, want) in [
        ("foo", Some("foo")),
        ("", Some("")),
        ("c|a|b|a", Some("a b c")),
        ("foo(bar|baz|)", Some("foo foobar foobaz")),
        ("^(a1|a2)$", Some("a1 a2")),
        ("v[1-3]x", Some("v1x v2x v3x")),
        ("(?i)ab", Some("AB Ab aB ab")),
        (
            r"10\.0\.0\.1:9100|10\.0\.0\.2:9100",
            Some("10.0.0.1:9100 10.0.0.2:9100"),
        ),
        ("a.b", None),
        ("a*", None),
        ("[a-z][a-z]", None),
        (r"\x{d800}", None),
        (r"a\b", None),
    ] {
        assert_eq!(set(pattern).as_deref(), want, "{pattern}");
    }
}

#[test]
fn prefixes_are_found() {
    for (pattern, want) in [
        ("foo", "foo"),
        ("foo.*", "foo"),
        ("foo[0-9]+", "foo"),
        ("(?:foo)(bar.)+x", "foo"),
        ("(foo|fob)", ""),
        ("(foo)b+", "foo"),
        (".*foo", ""),
        ("(?i)foo", ""),
        ("^foo.?$", "foo"),
        ("foo|bar.*", ""),
    ] {
        assert_eq!(Regex::new(pattern).unwrap().prefix(), want, "{pattern}");
    }
}

#[test]
fn wild_parts_need_no_automaton() {
    let wild = |pattern: &str| matches!(Regex::new(pattern).unwrap().0.plan, Plan::Globs(_));
    for pattern in [
        ".*",
        "(.+)",
        "a.*",
        ".*b",
        "a.*b.+c",
        "a.*|.*b",
        "^.*?a$",
        "(?:.*)(a)",
    ] {
        assert!(wild(pattern), "{pattern}");
    }
    for pattern in ["a.?", "(?-s).*", ".+.+", "[^a]*", "(.*)*", "(a|b).*"] {
        assert!(!wild(pattern), "{pattern}");
    }
    let is = |pattern: &str| {
        let regex = Regex::new(pattern).unwrap();
        (regex.is_anything(), regex.is_nonempty())
    };
    assert_eq!(is(".*"), (true, false));
    assert_eq!(is("^(.*)$"), (true, false));
    assert_eq!(is("a|.*"), (true, false));
    assert_eq!(is(".+"), (false, true));
    assert_eq!(is(".*.+"), (false, true));
    assert_eq!(is("a.*"), (false, false));

    check(
        "a.*b",
        &["ab", "axb", "abab", "a\nb"],
        &["a", "b", "aba", "ba"],
    );
    check("a.*a", &["aa", "axa"], &["a"]);
    check("a.+a", &["aaa", "aéa"], &["aa", "a"]);
    check(".*ab.*ab.*", &["abab", "xabxabx"], &["ab", "aba"]);
    check(".+b.+", &["abc", "bbb", "ébé"], &["bb", "bc", "ab", ""]);
    check(
        "a.*|.*b|c",
        &["a", "ax", "b", "xb", "c"],
        &["xax", "", "cc"],
    );
}

#[test]
fn long_lists_are_sets() {
    let hosts: Vec<String> = (0..100_000)
        .map(|i| format!("host-{i}.example:9100"))
        .collect();
    let pattern = hosts.join("|").replace('.', r"\.");
    let regex = Regex::new(&pattern).unwrap();
    assert_eq!(regex.set_matches().map(<[String]>::len), Some(100_000));
    assert!(regex.is_match("host-77777.example:9100"));
    assert!(!regex.is_match("host-100000.example:9100"));
    // A common part in every word must not make the set grow with the square of the pattern.
    let words: Vec<String> = (0..20_000).map(|i| i.to_string()).collect();
    let words = words.join("|");
    let regex = Regex::new(&format!("{}({words})", "x".repeat(20_000))).unwrap();
    assert!(regex.set_matches().is_none());
}

#[test]
fn large_patterns_work_or_are_refused() {
    let alternatives = |n: u32| {
        let all: Vec<String> = (0..n).map(|i| format!("host{i}[.].*")).collect();
        all.join("|")
    };
    let regex = Regex::new(&alternatives(5_000)).unwrap();
    assert!(regex.is_match("host4999.example") && !regex.is_match("host5000.example"));
    let large = |pattern: &str| {
        let error = Regex::new(pattern).unwrap_err();
        assert_eq!(error.problem(), Problem::Large);
    };
    large(&alternatives(200_000));
    large(r"(\pL{1000})");
    large(&r"\pL".repeat(27_000));
    large(&format!("({}){{1000}}", "(xx?)".repeat(1_000)));
    large(&"(?i)[A-\u{1e900}]".repeat(20_000));
    large(&"()".repeat(1_000_000));
    assert!(Regex::new(&"[[:".repeat(300_000)).is_err());
}

#[test]
fn deep_patterns_are_refused() {
    let nest = |open: &str, close: &str, n: usize| {
        Regex::new(&format!("{}a{}", open.repeat(n), close.repeat(n)))
    };
    for (open, close) in [
        ("(", ")"),
        ("(?:", ")*"),
        ("(", ")+"),
        ("(?:b|", ")"),
        ("(?:b", "c)?"),
    ] {
        for n in [300, 100_000] {
            let error = nest(open, close, n).unwrap_err();
            assert_eq!(error.problem(), Problem::Nesting, "{open} {n}");
        }
        assert!(nest(open, close, 60).is_ok());
    }
    assert_eq!(
        Regex::new(&format!("a*{}", "(?i)*".repeat(1_000)))
            .unwrap_err()
            .problem(),
        Problem::Nesting
    );
    assert!(
        Regex::new(&format!("({})", "|".repeat(12_345)))
            .unwrap()
            .is_match("")
    );
}

#[test]
fn the_deepest_pattern_needs_little_stack() {
    let pattern = format!("{}(a|b.)+{}", "(".repeat(190), ")".repeat(190));
    let matches = move || {
        let regex = Regex::new(&pattern).unwrap();
        regex.is_match("ab!") && regex.captures("a").is_some()
    };
    #[allow(
        clippy::disallowed_methods,
        reason = "only a thread has a stack of a known size"
    )]
    let thread = std::thread::Builder::new()
        .stack_size(512 << 10)
        .spawn(matches)
        .unwrap();
    assert!(thread.join().unwrap());
}

#[test]
fn no_pattern_takes_long() {
    let value = "a".repeat(5_000);
    for pattern in [
        "(a*)*b",
        "(a|a)*b",
        "(a?){500}a{500}b",
        "(.*)(.*)(.*)(.*)b",
        "(x+x+)+y",
    ] {
        assert!(!Regex::new(pattern).unwrap().is_match(&value));
    }
}

/// Patterns on which Go and the `regex` crate agree.
fn shared() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[abxé]{1,3}",
        Just(".".to_string()),
        Just(".*".to_string()),
        Just(".+".to_string()),
        Just("^".to_string()),
        Just("$".to_string()),
        Just("[a-b]".to_string()),
        Just("[^a]".to_string()),
        Just("[[:alpha:]é]".to_string()),
        Just(r"\x61".to_string()),
        Just(r"(?i:A)".to_string()),
        Just(r"\pL".to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| v.concat()),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|v| v.join("|")),
            inner.clone().prop_map(|p| format!("({p})")),
            inner.clone().prop_map(|p| format!("(?:{p})*")),
            inner.clone().prop_map(|p| format!("(?:{p})+?")),
            inner.clone().prop_map(|p| format!("(?:{p})?")),
            (inner.clone(), 0..3u32, 0..3u32)
                .prop_map(|(p, min, more)| format!("({p}){{{min},{}}}", min + more)),
            inner.prop_map(|p| format!("(?:{p}){{2,}}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_regex_crate(
        pattern in shared(),
        values in proptest::collection::vec("[abxé\n1A]{0,6}", 1..8),
    ) {
        let own = Regex::new(&pattern).unwrap();
        let other = regex::Regex::new(&format!("^(?s:{pattern})$")).unwrap();
        for value in &values {
            let theirs = other.captures(value);
            prop_assert_eq!(own.is_match(value), theirs.is_some(), "{} {:?}", pattern, value);
            let ours = own.captures(value);
            prop_assert_eq!(ours.is_some(), theirs.is_some());
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                for i in 0..theirs.len() {
                    let theirs = theirs.get(i).map(|m| m.as_str());
                    prop_assert_eq!(ours.get(i), theirs, "{} {:?} {}", pattern, value, i);
                }
            }
            if let Some(words) = own.set_matches() {
                prop_assert_eq!(words.contains(value), other.is_match(value));
            }
            prop_assert!(!other.is_match(value) || value.starts_with(own.prefix()));
        }
    }

    #[test]
    fn any_text_does_no_harm(pattern in r"[ab(){}\[\]|*+?.^$\\\-:,0-9pLQEixsU<>]{0,24}", value in ".*") {
        if let Ok(regex) = Regex::new(&pattern) {
            let matches = regex.is_match(&value);
            prop_assert_eq!(regex.captures(&value).is_some(), matches);
        }
    }
}
