//! The row of links that the pages of Operation share.

use super::frame::{Frame, NavLink};

/// The pages in the order of the row: path behind the slash, and word behind `operation.` in the texts.
const PAGES: &[&str] = &["ingestion", "jobs", "access", "roles", "settings", "doctor", "about"];

impl Frame {
    /// The row, with one of the pages marked as the present one.
    pub fn operation(&self, here: &str) -> Vec<NavLink> {
        let link = |page: &&'static str| NavLink {
            href: self.url(&format!("/{page}")),
            word: self.lang().t_in("operation", page),
            here: *page == here,
        };
        PAGES.iter().map(link).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        model::scope::Role,
        web::{pages::samples, router::PAGES, text::Lang},
    };

    #[test]
    fn each_link_leads_to_a_page_for_admins() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let links = frame.operation("jobs");
        assert_eq!(links.iter().filter(|link| link.here).count(), 1);
        for link in links {
            let page = PAGES.iter().find(|page| page.path == link.href).expect("a page of that path");
            assert!(
                page.access.admits(Role::Admin) && !page.access.admits(Role::DomainAdmin),
                "{}",
                link.href
            );
        }
    }
}
