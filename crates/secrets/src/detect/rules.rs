//! The rule table: shapes of credentials that their makers document.
//!
//! Facts about formats only. The examples are made up, and stand here in parts, so that nobody's scanner of
//! repositories takes them for real.

/// What beside its shape a match has to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing.
    Shape,
    /// The bits a character behind the literal, in hundredths, at least.
    Entropy(u32),
}

/// Where the pattern begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// At the literal.
    Literal,
    /// At the digits in front of the literal.
    Digits,
    /// At the literal, and on to the end of the line.
    Line,
}

/// One format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// What the marker and the counts call it.
    pub(super) kind: &'static str,
    /// One of these stands in every match.
    pub(super) literals: &'static [&'static str],
    pub(super) anchor: Anchor,
    /// From the anchor on. If it has a group, the group is redacted, else the match.
    pub(super) pattern: &'static str,
    /// The most bytes of a match.
    pub(super) length_max: usize,
    pub(super) check: Check,
    /// Each in parts that are to be joined.
    #[cfg_attr(not(test), allow(dead_code, reason = "examples are tried by the tests"))]
    pub(super) examples: &'static [&'static [&'static str]],
    #[cfg_attr(not(test), allow(dead_code, reason = "examples are tried by the tests"))]
    pub(super) counter_examples: &'static [&'static [&'static str]],
    /// Who documents the format.
    #[cfg_attr(not(test), allow(dead_code, reason = "for the reader of the table"))]
    pub(super) source: &'static str,
}

/// The fewest bytes of a literal.
pub(super) const LITERAL_BYTES_MIN: usize = 3;

/// The most bytes of a match.
pub(super) const FORMAT_MAX: usize = 512;

/// The most bytes of a JWT.
pub(super) const JWT_MAX: usize = 4 * 1024;

/// The most bytes of a header line, from its name on.
pub(super) const LINE_MAX: usize = 256;

const BODY: &str = "f4Kq9ZrT2mXw7Lp3Vb8Yc6Nd1HsGj5Ru0Ea";

const fn rule(kind: &'static str, literals: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule {
        kind,
        literals,
        anchor: Anchor::Literal,
        pattern,
        length_max: FORMAT_MAX,
        check: Check::Shape,
        examples: &[],
        counter_examples: &[],
        source: "",
    }
}

/// Every format that is looked for. Of several that fit, the longest match counts.
pub(super) const RULES: &[Rule] = &[
    Rule {
        check: Check::Entropy(300),
        examples: &[&["sk-", "ant-api03-", BODY, BODY, "-AA"]],
        counter_examples: &[&["sk-", "ant-api03-short"]],
        source: "Anthropic, API keys",
        ..rule("anthropic_key", &["sk-ant-"], r"sk-ant-[A-Za-z0-9_-]{24,}")
    },
    Rule {
        check: Check::Entropy(300),
        examples: &[
            &["sk-", "proj-", BODY, BODY],
            &["sk-", "svcacct-", BODY],
            &["sk-", BODY],
        ],
        counter_examples: &[
            &["sk-", "proj-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
            &["task-", BODY],
            &["sk-", "learn"],
        ],
        source: "OpenAI, API keys",
        ..rule(
            "openai_key",
            &["sk-", "sk-proj-", "sk-svcacct-", "sk-admin-"],
            r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{24,}",
        )
    },
    Rule {
        check: Check::Entropy(300),
        examples: &[&[
            "sk-",
            "or-v1-",
            "0a9f8e7d6c5b4a3928170f1e2d3c4b5a6978",
            "0a9f8e7d6c5b4a3928170f1e2d3c",
        ]],
        counter_examples: &[&["sk-", "or-v1-12"]],
        source: "OpenRouter, API keys",
        ..rule("openrouter_key", &["sk-or-"], r"sk-or-(?:v1-)?[0-9a-f]{40,}")
    },
    Rule {
        examples: &[
            &["gh", "p_", BODY, "7"],
            &["gh", "o_", BODY, "7"],
            &["gh", "s_", BODY, "7"],
        ],
        counter_examples: &[&["gh", "p_short"], &["xgh", "p_", BODY, "7"]],
        source: "GitHub, token formats",
        ..rule(
            "github_token",
            &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
            r"gh[pousr]_[A-Za-z0-9]{36,251}",
        )
    },
    Rule {
        examples: &[&[
            "github",
            "_pat_",
            "11ABCDEFG0aBcDeFgHiJkL",
            "_",
            BODY,
            "QwErTyUiOp12345678",
            "abcdef",
        ]],
        counter_examples: &[&["github", "_pat_", "example"]],
        source: "GitHub, fine-grained tokens",
        ..rule(
            "github_pat",
            &["github_pat_"],
            r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{40,}",
        )
    },
    Rule {
        examples: &[
            &["gl", "pat-", "x9Kq2ZrT7mXw4Lp8Vb1Y"],
            &["gl", "rt-", "x9Kq2ZrT7mXw4Lp8Vb1Y"],
        ],
        counter_examples: &[&["gl", "pat-", "example"]],
        source: "GitLab, token prefixes",
        ..rule(
            "gitlab_token",
            &[
                "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-",
            ],
            r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_.-]+)?",
        )
    },
    Rule {
        check: Check::Entropy(250),
        examples: &[
            &["AKI", "A", "Q3EGRT7XMW4LPZVB"],
            &["ASI", "A", "Q3EGRT7XMW4LPZVB"],
        ],
        counter_examples: &[
            &["AKI", "A", "AAAAAAAAAAAAAAAA"],
            &["AKI", "A", "lowercase0letters"],
        ],
        source: "AWS, unique identifiers of IAM",
        ..rule("aws_key_id", &["AKIA", "ASIA"], r"A[KS]IA[A-Z2-7]{16}")
    },
    Rule {
        check: Check::Entropy(300),
        examples: &[&["AI", "za", BODY]],
        counter_examples: &[&["AI", "zawa"]],
        source: "Google, API keys",
        ..rule("google_key", &["AIza"], r"AIza[A-Za-z0-9_-]{35}")
    },
    Rule {
        examples: &[&["ya", "29.", BODY]],
        counter_examples: &[&["ya", "29.x"]],
        source: "Google, access tokens",
        ..rule("google_token", &["ya29."], r"ya29\.[A-Za-z0-9_-]{20,}")
    },
    Rule {
        examples: &[&["GOC", "SPX-", "x9Kq2ZrT7mXw4Lp8Vb1Yc3NdQ5fG"]],
        counter_examples: &[&["GOC", "SPX-short"]],
        source: "Google, client secrets",
        ..rule("google_client_secret", &["GOCSPX-"], r"GOCSPX-[A-Za-z0-9_-]{28}")
    },
    Rule {
        examples: &[
            &[
                "xo",
                "xb-",
                "123456789012-123456789012-",
                "x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd",
            ],
            &["xo", "xp-", "1234567890-", BODY],
        ],
        counter_examples: &[&["xo", "xb-test"]],
        source: "Slack, token types",
        ..rule(
            "slack_token",
            &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"],
            r"(?:xox[bpars]|xapp)-[A-Za-z0-9-]{20,}",
        )
    },
    Rule {
        examples: &[&[
            "https://hooks.",
            "slack.com/services/",
            "T0ABCDEF1/B0ABCDEF1/",
            "x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd",
        ]],
        counter_examples: &[&["https://hooks.", "slack.com/services/"]],
        source: "Slack, incoming webhooks",
        ..rule(
            "slack_hook",
            &["hooks.slack.com/"],
            r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{20,})",
        )
    },
    Rule {
        examples: &[
            &["sk_", "live_", "x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd"],
            &["rk_", "live_", "x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd"],
            &["sk_", "test_", "x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd"],
        ],
        counter_examples: &[&["sk_", "live_demo"], &["task_", "live_x9Kq2ZrT7mXw4Lp8Vb1Yc3Nd"]],
        source: "Stripe, API keys",
        ..rule(
            "stripe_key",
            &["sk_live_", "rk_live_", "sk_test_", "rk_test_"],
            r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
        )
    },
    Rule {
        examples: &[&["np", "m_", BODY, "7"]],
        counter_examples: &[&["np", "m_config_registry"]],
        source: "npm, access tokens",
        ..rule("npm_token", &["npm_"], r"npm_[A-Za-z0-9]{36}")
    },
    Rule {
        examples: &[&["py", "pi-", "AgEIcHlwaS5vcmc", BODY, BODY]],
        counter_examples: &[&["py", "pi-server"]],
        source: "PyPI, API tokens",
        ..rule("pypi_token", &["pypi-"], r"pypi-AgE[A-Za-z0-9_-]{50,}")
    },
    Rule {
        examples: &[&["dckr", "_pat_", "x9Kq2ZrT7mXw4Lp8Vb1Yc3NdQ5f"]],
        counter_examples: &[&["dckr", "_pat_x"]],
        source: "Docker Hub, access tokens",
        ..rule("docker_token", &["dckr_pat_"], r"dckr_pat_[A-Za-z0-9_-]{27,}")
    },
    Rule {
        check: Check::Entropy(300),
        examples: &[&["h", "f_", "xKqZrTmXwLpVbYcNdQfGhJkSaEuIoPzRtM"]],
        counter_examples: &[&["h", "f_hub_download"]],
        source: "Hugging Face, access tokens",
        ..rule("huggingface_token", &["hf_"], r"hf_[A-Za-z]{34}")
    },
    Rule {
        examples: &[&["S", "G.", "x9Kq2ZrT7mXw4Lp8Vb1Yc3", ".", BODY, "x9Kq2ZrT"]],
        counter_examples: &[&["S", "G.x9Kq2"]],
        source: "SendGrid, API keys",
        ..rule(
            "sendgrid_key",
            &["SG."],
            r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        )
    },
    Rule {
        examples: &[&[
            "do",
            "p_v1_",
            "0a9f8e7d6c5b4a3928170f1e2d3c4b5a",
            "0a9f8e7d6c5b4a3928170f1e2d3c4b5a",
        ]],
        counter_examples: &[&["do", "p_v1_0a9f"]],
        source: "DigitalOcean, token formats",
        ..rule(
            "digitalocean_token",
            &["dop_v1_", "doo_v1_", "dor_v1_"],
            r"do[por]_v1_[0-9a-f]{64}",
        )
    },
    Rule {
        check: Check::Entropy(350),
        examples: &[&[
            "MTI",
            "zNDU2Nzg5MDEyMzQ1Njc4",
            ".",
            "GxYz1a",
            ".",
            "x9Kq2ZrT7mXw4Lp8Vb1Yc3NdQ5fGhJ6s",
        ]],
        counter_examples: &[&["MTI", "zNDU2Nzg5MDEyMzQ1Njc4"]],
        source: "Discord, bot tokens",
        ..rule(
            "discord_token",
            &[
                "MTA", "MTE", "MTI", "MTM", "MTQ", "NTA", "NTE", "NTI", "NTM", "NTQ", "NjA", "NzA", "ODA",
                "OTA",
            ],
            r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
        )
    },
    Rule {
        anchor: Anchor::Digits,
        check: Check::Entropy(350),
        examples: &[&["1234567890", ":A", "A", "x9Kq2ZrT7mXw4Lp8Vb1Yc3NdQ5fGhJ6sE"]],
        counter_examples: &[
            &["20260817", ":", BODY],
            &["12345", ":A", "Ax9Kq2ZrT7mXw4Lp8Vb1Yc3NdQ5fGhJ6sE"],
        ],
        source: "Telegram, bot tokens",
        ..rule("telegram_token", &[":AA"], r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}")
    },
    Rule {
        examples: &[&[
            "AGE-SECRET",
            "-KEY-1",
            "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE",
        ]],
        counter_examples: &[&["AGE-SECRET", "-KEY-1..."]],
        source: "age, key format",
        ..rule(
            "age_key",
            &["AGE-SECRET-KEY-1"],
            r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}",
        )
    },
    Rule {
        examples: &[&["dm", "t_", BODY]],
        counter_examples: &[&["dm", "t_x"]],
        source: "this project's own tokens",
        ..rule("dormouse_token", &["dmt_"], r"dmt_[A-Za-z0-9_-]{20,}")
    },
    Rule {
        anchor: Anchor::Line,
        examples: &[
            &["Authorization: Bearer ", "x9Kq2ZrT7mXw"],
            &["\"authorization\": \"Basic ", "bWU6c2VjcmV0\""],
            &["Authorization: token ", "x9Kq2ZrT7mXw"],
        ],
        counter_examples: &[
            &["Authorization: none"],
            &["authorization is required for this page"],
        ],
        source: "RFC 9110, 11.6.2",
        ..rule(
            "authorization",
            &["Authorization", "authorization", "AUTHORIZATION"],
            r#"(?i)authorization\\*["']?\s*[:=]\s*\\*["']?(?:bearer|basic|token|digest)\s+([^\s"'\\,;<>\[][^\s"'\\,;<>]{5,})"#,
        )
    },
    Rule {
        examples: &[&["https", "://me:", "hunter2hunter2", "@example.org/"]],
        counter_examples: &[
            &["https://example.org:8080/a@b"],
            &["https://me@example.org"],
            &["postgres://u:$PASSWORD@h"],
        ],
        source: "RFC 3986, 3.2.1",
        ..rule(
            "url_password",
            &["://"],
            r"://[A-Za-z0-9._~%+-]*:([A-Za-z0-9._~%+=!*-]{3,})@",
        )
    },
    Rule {
        length_max: JWT_MAX,
        examples: &[&[
            "ey",
            "JhbGciOiJIUzI1NiJ9",
            ".ey",
            "JzdWIiOiIxMjM0NTY3ODkwIn0",
            ".",
            BODY,
        ]],
        counter_examples: &[&["ey", "JhbGciOiJIUzI1NiJ9"]],
        source: "RFC 7519",
        ..rule(
            "jwt",
            &["eyJ", "eyJh", "eyJ0", "eyJr", "eyJj", "eyJl", "eyJ4", "eyJi"],
            r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{10,}",
        )
    },
];
