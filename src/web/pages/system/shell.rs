//! What the pages below `/system/` have around their content: the answer, the list of pages, choices and sorted heads.

use super::{MenuGroup, Which, here_word, menu, table::Head, words};
use crate::{
    metrics::health::{Health, Standing},
    model::sample::State,
    web::pages::{frame::Frame, look::Look},
};

/// The frame within the frame.
pub struct Shell {
    /// How what the page shows is.
    pub look: Look,
    /// What lies behind the answer.
    pub grounds: String,
    /// The list of all pages.
    pub menu: Vec<MenuGroup>,
    /// The name of this one.
    pub here: &'static str,
}

impl Shell {
    /// The shell of a page.
    pub fn new(
        frame: &Frame,
        healths: &[Health<'_>],
        which: Which,
        standing: Standing,
        grounds: String,
    ) -> Self {
        Self::looking(frame, healths, which, words::look(frame.lang(), standing), grounds)
    }

    /// The shell of a page with a look of its own.
    pub fn looking(frame: &Frame, healths: &[Health<'_>], which: Which, look: Look, grounds: String) -> Self {
        Self { look, grounds, menu: menu(frame, healths, Some(which)), here: here_word(frame, which) }
    }
}

/// One of several views of a page.
pub struct Choice {
    /// Where it is.
    pub href: String,
    /// Its name.
    pub word: &'static str,
    /// Whether it is the present one.
    pub here: bool,
}

/// The ranges of a page by their codes.
pub fn choices(frame: &Frame, which: Which, codes: &[&'static str], here: &str) -> Vec<Choice> {
    let choice = |code: &&'static str| Choice {
        href: frame.url(&format!("/system/{}?range={code}", which.code())),
        word: frame.lang().t_in("reach", code),
        here: *code == here,
    };
    codes.iter().map(choice).collect()
}

/// Heads that sort by their column: its word in addresses, and its name. `keep` is the rest of the query.
pub fn sorted_heads(columns: &[(&str, &str)], (sort, reversed): (&str, bool), keep: &str) -> Vec<Head> {
    let head = |(at, (code, text)): (usize, &(&str, &str))| {
        let here = sort == *code;
        let turned = if here && !reversed { "&order=turned" } else { "" };
        Head {
            word: (*text).to_owned(),
            href: format!("?{keep}&sort={code}{turned}"),
            order: here.then_some(if reversed { "descending" } else { "ascending" }),
            end: at > 1,
        }
    };
    columns.iter().enumerate().map(head).collect()
}

/// The answer of a page that has nothing to show: why, and how that is mended.
pub fn absent(frame: &Frame, state: Option<&State>, page: &str, about: String) -> (String, String, Standing) {
    let lang = frame.lang();
    let (standing, why) = match state {
        Some(State::NotInUse(how)) => (Standing::NotInUse, Some(how)),
        Some(State::Unknown(why)) => (Standing::Unknown, Some(why)),
        _ => (Standing::Waiting, None),
    };
    let title = lang.tf_in("page_absent", standing.code(), &[("name", lang.t_in("system_page", page))]);
    let why = why.map(|why| words::in_language(lang, why));
    (title, why.into_iter().chain([about]).collect::<Vec<_>>().join(" "), standing)
}
