//! What only a person can do, in the order in which it works.

use std::path::Path;

use clap::{ValueEnum, builder::PossibleValue};

use super::{
    SetupArgs, Way, compose,
    files::Files,
    wish::{Wish, uses_mariadb},
};

/// The steps, numbered.
pub fn text(wish: &Wish) -> String {
    let mut steps = Vec::new();
    steps.extend(database(wish));
    steps.push(oauth(wish));
    steps.push(key(wish));
    steps.extend(certificate(wish));
    steps.extend(by_hand(wish));
    steps.extend(start(wish));
    steps.push(format!(
        "In Mailcow, System, Configuration, Options, Customize: add an App link to {}/ for all users.",
        wish.public_url()
    ));
    let mut out = "\nWhat is left for you:\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        out.push_str(&format!("{:3}. {}\n", number + 1, step.replace('\n', "\n     ")));
    }
    out
}

fn database(wish: &Wish) -> Option<String> {
    let sql = Files::at(&wish.mailcow, &wish.args).sql;
    uses_mariadb(&wish.args).then(|| {
        format!(
            "Make the database, in {}:\n\
             ( . ./mailcow.conf; docker compose exec -T mysql-mailcow mariadb -uroot -p\"$DBROOT\" <'{}' )",
            wish.mailcow.display(),
            sql.display()
        )
    })
}

fn oauth(wish: &Wish) -> String {
    let done = match wish.values.client_id.is_empty() || wish.values.client_secret.is_empty() {
        true => again(wish, "--client-id ID --client-secret-file FILE"),
        false => {
            "\nClient id and secret are set; what counts is that the redirect URI is exactly this.".to_owned()
        }
    };
    format!(
        "In Mailcow, System, Configuration, Access, OAuth2 apps: one with the redirect URI\n{}{done}",
        wish.redirect_uri()
    )
}

fn key(wish: &Wish) -> String {
    let from = match wish.args.way {
        Way::Compose => wish.args.network.to_string(),
        Way::Host => format!("{}.1 and the addresses of this host", wish.conf.ipv4_network),
    };
    let done = match wish.values.api_key.is_empty() {
        true => again(wish, "--api-key-file FILE"),
        false => String::new(),
    };
    format!(
        "In Mailcow, System, Configuration, Access, Administrators, API: the read-only key, active, allowed from\n{from}{done}"
    )
}

/// The whole command for a further run: options are not kept, so one that is left out would change what is written.
fn again(wish: &Wish, more: &str) -> String {
    let usual = SetupArgs::usual();
    let SetupArgs { mailcow, way, host, path, database, image, network, .. } = &wish.args;
    let SetupArgs { callback, open_tracking, ofelia, no_override, folder, units, .. } = &wish.args;
    let choice = |value: Option<PossibleValue>| value.map(|value| value.get_name().to_owned());
    let other = |value: String, usual: String| Some(value.clone()).filter(|_| value != usual);
    let shown = |path: &Path| path.display().to_string();
    let valued = [
        ("--mailcow", mailcow.as_deref().map(shown)),
        ("--way", choice(way.to_possible_value()).filter(|_| *way != usual.way)),
        ("--host", host.clone()),
        ("--path", other(path.clone(), usual.path)),
        ("--database", choice(database.to_possible_value()).filter(|_| *database != usual.database)),
        ("--image", other(image.clone(), usual.image)),
        ("--network", other(network.to_string(), usual.network.to_string())),
        ("--callback", other(callback.clone(), usual.callback)),
        ("--folder", other(shown(folder), shown(&usual.folder))),
        ("--units", other(shown(units), shown(&usual.units))),
    ];
    let flags = [("--open-tracking", open_tracking), ("--ofelia", ofelia), ("--no-override", no_override)];
    let plain = |value: &str| value.chars().all(|c| c.is_ascii_alphanumeric() || "./:@_-".contains(c));
    let mut line = "mailcow-status setup".to_owned();
    for (name, value) in valued.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        line += &if plain(&value) { format!(" {name} {value}") } else { format!(" {name} '{value}'") };
    }
    for (name, _) in flags.into_iter().filter(|(_, given)| **given) {
        line += &format!(" {name}");
    }
    format!("\nThen run this again with it:\n{line} {more}")
}

fn certificate(wish: &Wish) -> Option<String> {
    let host = wish.args.host.as_ref()?;
    Some(format!(
        "Let {host} lead to this server, and add it to ADDITIONAL_SAN in mailcow.conf (not to ADDITIONAL_SERVER_NAMES)."
    ))
}

/// What the shipped override file does not have, where setup leaves the real one alone.
fn by_hand(wish: &Wish) -> Option<String> {
    let entries = compose::by_hand(&wish.args, &wish.public_url(), &wish.further);
    (wish.args.way == Way::Compose && wish.args.no_override && !entries.is_empty()).then(|| {
        format!(
            "In {}, see to it that these lines stand below environment: of status-mailcow:\n{}",
            Files::at(&wish.mailcow, &wish.args).compose.display(),
            entries.join("\n")
        )
    })
}

fn start(wish: &Wish) -> Vec<String> {
    let mut steps = Vec::new();
    let reload =
        "docker compose exec nginx-mailcow nginx -t && docker compose exec nginx-mailcow nginx -s reload";
    if wish.args.way == Way::Host {
        steps.push("Put this program at /usr/local/bin/mailcow-status.".to_owned());
        steps.push(format!(
            "systemctl daemon-reload && systemctl enable --now mailcow-status\n\
             Let the host's firewall pass TCP from {}.0/24 to {}.",
            wish.conf.ipv4_network,
            wish.upstream()
        ));
        steps.push(format!("cd '{}' && {reload}", wish.mailcow.display()));
    } else {
        steps.push(format!(
            "cd '{}' && docker compose config -q && docker compose up -d\n{reload}",
            wish.mailcow.display()
        ));
    }
    if wish.args.open_tracking {
        steps.push("docker compose up -d rspamd-mailcow && docker compose restart rspamd-mailcow".to_owned());
    }
    steps
}
