//! Which elements are a test for humans that somebody sees.

use super::page::Tag;

/// Who makes the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Turnstile,
    Hcaptcha,
    Recaptcha,
    Funcaptcha,
    Geetest,
    AwsWaf,
    Friendly,
    Altcha,
    Smart,
    Mtcaptcha,
    Procaptcha,
    Tencent,
    Image,
}

impl Provider {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Turnstile => "turnstile",
            Self::Hcaptcha => "hcaptcha",
            Self::Recaptcha => "recaptcha",
            Self::Funcaptcha => "funcaptcha",
            Self::Geetest => "geetest",
            Self::AwsWaf => "aws_waf",
            Self::Friendly => "friendly",
            Self::Altcha => "altcha",
            Self::Smart => "smart",
            Self::Mtcaptcha => "mtcaptcha",
            Self::Procaptcha => "procaptcha",
            Self::Tencent => "tencent",
            Self::Image => "image",
        }
    }
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A test that asks to be solved.
    Challenge(Provider),
    /// A widget that works unseen.
    Invisible,
    Nothing,
}

/// What a tag is, where it is shown unless `is_unseen`.
pub(super) fn seen(tag: &Tag, is_unseen: bool) -> Seen {
    let Some(provider) = provider_of(tag) else {
        return Seen::Nothing;
    };
    if is_unseen || is_invisible(tag) {
        return Seen::Invisible;
    }
    Seen::Challenge(provider)
}

fn provider_of(tag: &Tag) -> Option<Provider> {
    match tag.element.as_str() {
        "iframe" => return framed(&tag.source.to_ascii_lowercase()),
        "img" => return is_image(tag).then_some(Provider::Image),
        "awswaf-captcha" => return Some(Provider::AwsWaf),
        "procaptcha" => return Some(Provider::Procaptcha),
        "altcha-widget" => return Some(Provider::Altcha),
        "script" | "link" | "meta" | "input" | "textarea" => return None,
        _ => {}
    }
    if tag.id.eq_ignore_ascii_case("funcaptcha") {
        return Some(Provider::Funcaptcha);
    }
    tag.class.split_ascii_whitespace().find_map(classed)
}

fn classed(class: &str) -> Option<Provider> {
    match class {
        "cf-turnstile" => Some(Provider::Turnstile),
        "h-captcha" => Some(Provider::Hcaptcha),
        "g-recaptcha" => Some(Provider::Recaptcha),
        "amzn-captcha-modal" => Some(Provider::AwsWaf),
        "frc-captcha" => Some(Provider::Friendly),
        "smart-captcha" => Some(Provider::Smart),
        "mtcaptcha" => Some(Provider::Mtcaptcha),
        "procaptcha" => Some(Provider::Procaptcha),
        "gt_captcha_obj" => Some(Provider::Geetest),
        class if class.starts_with("geetest_") => Some(Provider::Geetest),
        _ => None,
    }
}

fn framed(source: &str) -> Option<Provider> {
    let is_recaptcha =
        source.contains("google.com/recaptcha/") || source.contains("recaptcha.net/recaptcha/");
    if source.contains("challenges.cloudflare.com") {
        Some(Provider::Turnstile)
    } else if source.contains("hcaptcha.com/") {
        Some(Provider::Hcaptcha)
    } else if is_recaptcha && (source.contains("/anchor") || source.contains("/bframe")) {
        Some(Provider::Recaptcha)
    } else if source.contains("arkoselabs.com") || source.contains("funcaptcha.com") {
        Some(Provider::Funcaptcha)
    } else if source.contains("geetest.com") {
        Some(Provider::Geetest)
    } else if source.contains("smartcaptcha.yandex") {
        Some(Provider::Smart)
    } else if source.contains("captcha.gtimg.com") || source.contains("captcha.qcloud.com") {
        Some(Provider::Tencent)
    } else if source.contains("mtcaptcha.com") {
        Some(Provider::Mtcaptcha)
    } else if source.contains("friendlycaptcha.") || source.contains("frcapi.com") {
        Some(Provider::Friendly)
    } else {
        None
    }
}

/// Whether an element holds something named after such a test, whoever makes it. The whole page and the parts of a form are
/// named so where a widget works unseen.
pub(super) fn is_named(tag: &Tag) -> bool {
    const OTHERS: &[&str] = &[
        "html", "body", "script", "link", "meta", "input", "textarea", "select", "button", "label", "a",
    ];
    if OTHERS.contains(&tag.element.as_str()) {
        return false;
    }
    // A slider, a picture or a check of makers who are known by these names alone.
    const NAMES: &[&str] = &["captcha", "yidun", "nc_wrapper", "nc-container", "slidetounlock"];
    has_part([&tag.element, &tag.id, &tag.name, &tag.class], NAMES)
}

/// Whether one of these names has one of these words in it.
fn has_part<const N: usize>(names: [&String; N], words: &[&str]) -> bool {
    names.into_iter().any(|name| {
        let name = name.to_ascii_lowercase();
        words.iter().any(|word| name.contains(word))
    })
}

/// Whether an element is named after a test of any kind: a slider of a shop is named so too.
pub(super) fn is_named_test(tag: &Tag) -> bool {
    const WORDS: &[&str] = &[
        "captcha",
        "challenge",
        "verify",
        "verification",
        "human",
        "robot",
        "puzzle",
        "botcheck",
    ];
    has_part([&tag.id, &tag.class], WORDS)
}

/// Whether a text speaks of such a test.
pub(super) fn speaks_of(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "captcha",
        "验证码",
        "驗證碼",
        "人机验证",
        "капча",
        "캡차",
        "キャプチャ",
    ];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// A picture of letters. Its words for those who do not see it say nothing: articles have such pictures too.
fn is_image(tag: &Tag) -> bool {
    let named = [&tag.id, &tag.name, &tag.class];
    let has_word = |text: &str| text.to_ascii_lowercase().contains("captcha");
    named.iter().any(|text| has_word(text)) || is_made_by_captcha(&tag.source)
}

/// An address of which a folder or a program is named so: `/captcha/1.jpg`, `/captcha.php?r=1`; not `/img/captcha-history.png`.
fn is_made_by_captcha(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    let path = source.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|part| {
        let part = part.split('.').next().unwrap_or_default();
        matches!(
            part,
            "captcha"
                | "captchas"
                | "captchaimage"
                | "captcha_image"
                | "captcha-image"
                | "getcaptcha"
                | "kaptcha"
                | "jcaptcha"
                | "verifycode"
                | "validatecode"
                | "securimage_show"
                | "captchaimg"
                | "captcha_code"
        )
    })
}

fn is_invisible(tag: &Tag) -> bool {
    let source = tag.source.to_ascii_lowercase();
    tag.data_size.eq_ignore_ascii_case("invisible")
        || tag.data_appearance.eq_ignore_ascii_case("interaction-only")
        || (tag.element == "iframe" && tag.is_tiny())
        || (tag.element == "img" && tag.is_tiny())
        || source.contains("size=invisible")
        || source.contains("checkbox-invisible")
        // The button of a form that asks the widget only when it is pressed.
        || matches!(tag.element.as_str(), "button" | "a")
}

/// What is a challenge only together.
#[derive(Debug, Default)]
pub(super) struct Signs {
    has_aws_script: bool,
    has_aws_container: bool,
    has_geetest_script: bool,
    has_geetest_container: bool,
    has_tencent_script: bool,
    has_tencent_container: bool,
    /// Whose scripts there are, that draw a widget where they are told to.
    makers: Vec<Provider>,
}

impl Signs {
    pub(super) fn script(&mut self, source: &str) {
        let source = source.to_ascii_lowercase();
        self.has_aws_script |=
            source.contains("captcha.awswaf.com") || source.contains("captcha-sdk.awswaf.com");
        self.has_geetest_script |= source.contains("geetest.com/");
        self.has_tencent_script |= source.contains("captcha.qcloud.com") || source.contains("/tcaptcha");
        if let Some(maker) = scripted(&source).filter(|maker| !self.makers.contains(maker)) {
            self.makers.push(maker);
        }
    }

    pub(super) fn element(&mut self, tag: &Tag) {
        self.has_aws_container |= matches!(tag.id.as_str(), "captcha-container" | "awswaf-captcha");
        self.has_geetest_container |= matches!(tag.id.as_str(), "captcha" | "captcha-box" | "geetest");
        self.has_tencent_container |= tag.id.eq_ignore_ascii_case("tencentcaptcha");
    }

    pub(super) fn concluded(&self) -> Option<Provider> {
        if self.has_aws_script && self.has_aws_container {
            Some(Provider::AwsWaf)
        } else if self.has_geetest_script && self.has_geetest_container {
            Some(Provider::Geetest)
        } else if self.has_tencent_script && self.has_tencent_container {
            Some(Provider::Tencent)
        } else {
            None
        }
    }

    /// The one whose scripts there are.
    pub(super) fn maker(&self) -> Option<Provider> {
        match self.makers.as_slice() {
            [maker] => Some(*maker),
            _ => None,
        }
    }
}

/// Whose script it is, where it is one that may draw a test: not reCAPTCHA v3, which is loaded for a key.
fn scripted(source: &str) -> Option<Provider> {
    let is_recaptcha = source.contains("recaptcha/api.js") || source.contains("recaptcha/enterprise.js");
    if is_recaptcha && (!source.contains("render=") || source.contains("render=explicit")) {
        Some(Provider::Recaptcha)
    } else if source.contains("hcaptcha.com/1/api.js") {
        Some(Provider::Hcaptcha)
    } else if source.contains("challenges.cloudflare.com/turnstile/") {
        Some(Provider::Turnstile)
    } else if source.contains("arkoselabs.com") || source.contains("funcaptcha.com") {
        Some(Provider::Funcaptcha)
    } else if source.contains("geetest.com/") {
        Some(Provider::Geetest)
    } else if source.contains("captcha.qcloud.com") || source.contains("captcha.gtimg.com") {
        Some(Provider::Tencent)
    } else if source.contains("smartcaptcha.yandex") {
        Some(Provider::Smart)
    } else if source.contains("friendly-challenge") || source.contains("friendlycaptcha") {
        Some(Provider::Friendly)
    } else if source.contains("mtcaptcha.com") {
        Some(Provider::Mtcaptcha)
    } else if source.contains("prosopo.io") {
        Some(Provider::Procaptcha)
    } else if source.contains("altcha") {
        Some(Provider::Altcha)
    } else if source.contains("captcha.awswaf.com") || source.contains("captcha-sdk.awswaf.com") {
        Some(Provider::AwsWaf)
    } else {
        None
    }
}
