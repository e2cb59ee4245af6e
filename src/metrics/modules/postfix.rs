//! Postfix: process, queues, what its log says, postscreen.

use super::super::registry::{
    Metric, Origin,
    Severity::{Disaster, High, Warning},
    Unit,
    Window::Hour,
    metrics,
};

/// What is wrong with most counts of the other package.
const NO_FILE: &str = "It counts in a file that Mailcow does not write, so it is always 0 there; here the stored \
    lines of one hour are counted.";

metrics! {
    Postfix {
        /// Fill level of the file system holding the Postfix spool.
        QUEUE_DISK = Metric::gauge("mailcow.queue.disk", Unit::Percent).from(Origin::HostFiles)
            .above(&[(Warning, 80.0), (High, 90.0), (Disaster, 95.0)]);

        /// Established connections to Postfix's ports 25, 465 and 587, and from it to port 25.
        CONNECTIONS = Metric::gauge("postfix.connections", Unit::Count).from(Origin::Docker);

        /// Small JSON of Postfix event counts (received, delivered, bounced, deferred, rejected,
        /// reject_warnings, discarded, held, forwarded, senders, recipients).
        FETCH_LOG_DATA = Metric::json("postfix.fetch_log_data").from(Origin::PostfixLog).over(Hour)
            .corrects(NO_FILE);

        /// Number of messages in the Postfix queue.
        PFMAILQ = Metric::gauge("postfix.pfmailq", Unit::Count).from(Origin::MailQueue)
            .above(&[(Warning, 50.0), (High, 200.0), (Disaster, 500.0)])
            .corrects(
                "It counts queue ids that begin with a letter, and an empty queue as 1; here the messages of \
                 the JSON listing are counted.",
            );

        /// Postfix is up: its container runs.
        PROCESS_RUNNING = Metric::flag("postfix.process.running").from(Origin::Containers)
            .bad_at(&[(Disaster, 0.0)]);
    }

    PostfixLogs {
        /// Connections that timed out.
        LOG_CONNECTION_TIMEOUT = Metric::gauge("postfix.log.connection.timeout", Unit::Count)
            .from(Origin::PostfixLog).over(Hour)
            .corrects(
                "A file that does not exist is read there. Here: A connection and its deferral are one event, \
                 and inbound `timeout after` counts, too.",
            );

        /// Error and fatal lines.
        LOG_ERRORS = Metric::gauge("postfix.log.errors", Unit::Count).from(Origin::PostfixLog).over(Hour)
            .above(&[(Warning, 10.0), (High, 50.0)])
            .corrects(
                "A file that does not exist is read there. Here: Lines of the severity `error`, `fatal` or \
                 `panic` count, not warnings that quote the word.",
            );

        /// Deliveries refused for a full mailbox.
        LOG_QUOTA_EXCEEDED = Metric::gauge("postfix.log.quota.exceeded", Unit::Count).from(Origin::PostfixLog)
            .over(Hour)
            .corrects(
                "A file that does not exist is read there. Here: Every wording of a full mailbox counts, \
                 whatever its case, and the code 4.2.2 or 5.2.2.",
            );

        /// Rejections caused by a DNS block list.
        LOG_RBL_REJECT = Metric::gauge("postfix.log.rbl.reject", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Recipients refused because relaying is not allowed.
        LOG_RELAY_DENIED = Metric::gauge("postfix.log.relay.denied", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Failed SASL logins seen by smtpd.
        LOG_SASL_AUTH_FAILED = Metric::gauge("postfix.log.sasl.auth.failed", Unit::Count)
            .from(Origin::PostfixLog).over(Hour).corrects(NO_FILE);

        /// Messages refused by the spam milter.
        LOG_SPAM_REJECTED = Metric::gauge("postfix.log.spam.rejected", Unit::Count).from(Origin::PostfixLog)
            .over(Hour)
            .corrects(
                "A file that does not exist is read there. Here: Its wording never occurs on Mailcow; here \
                 every `milter-reject` with a 5.x code that names no virus counts.",
            );

        /// Failed TLS handshakes.
        LOG_TLS_FAILED = Metric::gauge("postfix.log.tls.failed", Unit::Count).from(Origin::PostfixLog)
            .over(Hour)
            .corrects(
                "A file that does not exist is read there. Here: `TLS library problem` and `SSL_accept error` \
                 belong to one handshake: the second counts, in either direction.",
            );

        /// Recipients refused because the mailbox does not exist.
        LOG_USER_UNKNOWN = Metric::gauge("postfix.log.user.unknown", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Messages with a virus.
        LOG_VIRUS_FOUND = Metric::gauge("postfix.log.virus.found", Unit::Count).from(Origin::PostfixLog)
            .over(Hour)
            .corrects(
                "A file that does not exist is read there. Here: clamd's wording never stands in this log; \
                 here the milter's refusal for a virus counts.",
            );

        /// Warning lines.
        LOG_WARNINGS = Metric::gauge("postfix.log.warnings", Unit::Count).from(Origin::PostfixLog).over(Hour)
            .corrects(NO_FILE);
    }

    Postscreen {
        /// postscreen is in use.
        POSTSCREEN_ACTIVE = Metric::flag("postfix.postscreen.active").from(Origin::PostfixLog).over(Hour)
            .corrects(
                "It says 0 when no line was seen; here it is 1 once postscreen logged in the hour, and \
                 unknown without a single connection.",
            );

        /// Clients that passed all tests for the first time.
        POSTSCREEN_PASS_NEW = Metric::gauge("postfix.postscreen.pass.new", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Clients let through from the cache.
        POSTSCREEN_PASS_OLD = Metric::gauge("postfix.postscreen.pass.old", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Recipients refused by postscreen itself.
        POSTSCREEN_REJECT = Metric::gauge("postfix.postscreen.reject", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).above(&[(Warning, 100.0), (High, 500.0)]).corrects(NO_FILE);

        /// Clients over the DNSBL score.
        POSTSCREEN_DNSBL = Metric::gauge("postfix.postscreen.dnsbl", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Clients that spoke before the greeting.
        POSTSCREEN_PREGREET = Metric::gauge("postfix.postscreen.pregreet", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Clients that left during the tests.
        POSTSCREEN_HANGUP = Metric::gauge("postfix.postscreen.hangup", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects(NO_FILE);

        /// Clients on the permanent allow list.
        POSTSCREEN_WHITELISTED = Metric::gauge("postfix.postscreen.whitelisted", Unit::Count)
            .from(Origin::PostfixLog).over(Hour)
            .corrects(
                "A file that does not exist is read there. Here: Both words count, WHITELISTED and \
                 ALLOWLISTED.",
            );

        /// Connections accepted by postscreen.
        POSTSCREEN_CONNECT = Metric::gauge("postfix.postscreen.connect", Unit::Count).from(Origin::PostfixLog)
            .over(Hour).corrects("A file that does not exist is read there. Here: DISCONNECT is no CONNECT.");
    }

    Queues {
        /// Messages in the deferred queue.
        QUEUE_DEFERRED = Metric::gauge("mailcow.queue.deferred", Unit::Count).from(Origin::MailQueue)
            .above(&[(Warning, 10.0), (High, 50.0)]);

        /// Messages in the active queue.
        QUEUE_ACTIVE = Metric::gauge("mailcow.queue.active", Unit::Count).from(Origin::MailQueue);

        /// Age of the oldest deferred message, in whole hours; 0 when there is none.
        QUEUE_AGE_OLDEST_HOURS = Metric::gauge("mailcow.queue.age.oldest.hours", Unit::Hours)
            .from(Origin::MailQueue).above(&[(Warning, 12.0), (High, 24.0)])
            .corrects("It takes the time of the next try for the arrival; here the arrival time counts.");

        /// Messages in the hold queue.
        QUEUE_HOLD = Metric::gauge("mailcow.queue.hold", Unit::Count).from(Origin::MailQueue);
    }
}
