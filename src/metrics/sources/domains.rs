//! Mail domains: counts, and what each takes.

use futures_util::FutureExt;
use serde_json::{Map, Value, json};

use super::{
    Reach,
    mailboxes::{mib, usage},
};
use crate::{
    metrics::{
        collector::Outcome,
        modules::{mailboxes as m, security},
        samples::Samples,
    },
    model::sample::{DOMAIN, Labels},
    remote::status::DomainUse,
};

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell(&reach.mailcow.domain_use().await?, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(domains: &[DomainUse], out: &mut Samples) {
    let active: Vec<&str> =
        domains.iter().filter(|it| it.active == Some(1.0)).map(|it| it.domain_name.as_str()).collect();
    out.set(&m::DOMAIN_TOTAL, domains.len());
    out.set(&m::DOMAIN_ACTIVE, active.len());
    out.set(&m::DOMAIN_LIST, active.join(","));
    out.set(&security::DNS_DOMAINS, active.join(" "));
    let mut data = Map::new();
    for domain in domains {
        data.insert(domain.domain_name.clone(), tell_each(domain, out));
    }
    let list = domains
        .iter()
        .map(|it| json!({"{#DOMAIN}": it.domain_name, "{#ACTIVE}": it.active.unwrap_or(0.0) as i64}));
    out.set(&m::LLD_DOMAINS, Value::Array(list.collect()).to_string());
    out.set(&m::LLD_DOMAIN_DATA, Value::Object(data).to_string());
}

fn tell_each(domain: &DomainUse, out: &mut Samples) -> Value {
    let labels = || Labels::one(DOMAIN, &domain.domain_name);
    let mut data = json!({});
    let mut note = |name: &str, metric, value: Option<f64>| {
        if let Some(value) = value {
            out.set_each(metric, labels(), value);
            data[name] = json!(value);
        }
    };
    note("active", &m::EACH_DOMAIN_ACTIVE, domain.active.map(|active| f64::from(u8::from(active == 1.0))));
    note("mailbox_count", &m::EACH_DOMAIN_MAILBOX_COUNT, domain.mboxes_in_domain);
    note("quota_mb", &m::EACH_DOMAIN_QUOTA_MB, domain.max_quota_for_domain.map(mib));
    note("used_mb", &m::EACH_DOMAIN_USED_MB, domain.bytes_total.map(mib));
    let percent = domain.bytes_total.zip(domain.max_quota_for_domain).map(|(used, quota)| usage(used, quota));
    note("usage_pct", &m::EACH_DOMAIN_USAGE_PCT, percent);
    for (name, value) in [
        ("max_aliases", domain.max_num_aliases_for_domain),
        ("max_mailboxes", domain.max_num_mboxes_for_domain),
        ("maxquota_mb", domain.max_quota_for_mbox.map(mib)),
    ] {
        if let Some(value) = value {
            data[name] = json!(value);
        }
    }
    data
}
