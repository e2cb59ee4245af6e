//! Mailcow's watchdog: a level per service.

use super::super::registry::{
    Metric, Origin,
    Severity::{High, Warning},
    Unit,
    Window::TenMinutes,
    metrics,
};

metrics! {
    Watchdog {
        /// Lowest level of all services seen.
        OVERALL = Metric::gauge("mailcow.watchdog.overall", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes).below(&[(Warning, 100.0), (High, 50.0)])
            .corrects(
                "A dead Clamd is not seen, no data is 0, and event flags pull it down; here all services that \
                 Mailcow reports count but the event flags, and no data is unknown.",
            );

        /// Services below 100 percent, event flags apart.
        UNHEALTHY = Metric::gauge("mailcow.watchdog.unhealthy", Unit::Count).from(Origin::Watchdog)
            .over(TenMinutes);

        /// Services below 100 percent as `NAME:level%`, or `-`.
        DETAIL = Metric::text("mailcow.watchdog.detail").from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Postfix.
        POSTFIX = Metric::gauge("mailcow.watchdog.postfix", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes);

        /// Watchdog level of Dovecot.
        DOVECOT = Metric::gauge("mailcow.watchdog.dovecot", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes);

        /// Watchdog level of Rspamd.
        RSPAMD = Metric::gauge("mailcow.watchdog.rspamd", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of MySQL/MariaDB.
        MYSQL = Metric::gauge("mailcow.watchdog.mysql", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Nginx.
        NGINX = Metric::gauge("mailcow.watchdog.nginx", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of SOGo.
        SOGO = Metric::gauge("mailcow.watchdog.sogo", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Redis.
        REDIS = Metric::gauge("mailcow.watchdog.redis", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Unbound.
        UNBOUND = Metric::gauge("mailcow.watchdog.unbound", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes);

        /// Watchdog level of PHP-FPM.
        PHPFPM = Metric::gauge("mailcow.watchdog.phpfpm", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Fail2ban. An event flag: 0 for a moment at each new ban.
        FAIL2BAN = Metric::gauge("mailcow.watchdog.fail2ban", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes);

        /// Watchdog level of ACME. An event flag: 0 after a failed renewal.
        ACME = Metric::gauge("mailcow.watchdog.acme", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Mail queue.
        QUEUE = Metric::gauge("mailcow.watchdog.queue", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Olefy.
        OLEFY = Metric::gauge("mailcow.watchdog.olefy", Unit::Percent).from(Origin::Watchdog).over(TenMinutes);

        /// Watchdog level of Dovecot replication.
        REPLICATION = Metric::gauge("mailcow.watchdog.replication", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes);

        /// Watchdog level of Ratelimit. An event flag: 0 when a limit was applied.
        RATELIMIT = Metric::gauge("mailcow.watchdog.ratelimit", Unit::Percent).from(Origin::Watchdog)
            .over(TenMinutes);
    }
}
