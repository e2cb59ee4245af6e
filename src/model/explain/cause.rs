//! The cause in three to five words, for lists.

use std::borrow::Cow;

use super::Bilingual;

/// Class, English, German; at most 28 characters each, so that a cause fits beside its status.
pub(super) const CAUSES: &[(&str, &str, &str)] = &[
    ("unknown_recipient", "Address does not exist", "Adresse gibt es nicht"),
    ("bad_address", "Address is malformed", "Adresse ist fehlerhaft"),
    ("recipient_moved", "Address no longer in use", "Adresse nicht mehr gültig"),
    ("domain_not_found", "Domain takes no mail", "Domain nimmt keine Mails an"),
    ("dns_problem", "Domain lookup failed", "Domain nicht auflösbar"),
    ("mailbox_full", "Mailbox is full", "Postfach ist voll"),
    ("mailbox_disabled", "Mailbox is switched off", "Postfach ist abgeschaltet"),
    ("recipient_refuses", "Recipient refuses the mail", "Empfänger lehnt die Mail ab"),
    ("too_large", "Mail is too big", "Mail ist zu groß"),
    ("too_many_recipients", "Too many recipients", "Zu viele Empfänger"),
    ("greylisted", "Asked to wait", "Zum Warten aufgefordert"),
    ("rate_limited", "Too many mails at once", "Zu viele Mails auf einmal"),
    ("quota_sender", "Sending limit reached", "Sendegrenze erreicht"),
    ("temporary_unknown", "Asked to come back later", "Soll später wiederkommen"),
    ("permanent_unknown", "Refused without a reason", "Ohne Grund abgelehnt"),
    ("policy", "Against the server's rules", "Gegen die Regeln des Servers"),
    ("spam_content", "Taken for spam", "Für Spam gehalten"),
    ("virus", "Contains a virus", "Enthält einen Virus"),
    ("blocked_ip", "Our server is blocklisted", "Server auf einer Sperrliste"),
    ("blocked_domain", "The domain is blocklisted", "Domain auf einer Sperrliste"),
    ("sender_rejected", "Sender address refused", "Absenderadresse abgelehnt"),
    ("spf_fail", "SPF check failed", "SPF-Prüfung gescheitert"),
    ("dkim_fail", "DKIM check failed", "DKIM-Prüfung gescheitert"),
    ("dmarc_fail", "DMARC check failed", "DMARC-Prüfung gescheitert"),
    ("no_ptr", "Server name not proven", "Servername nicht belegt"),
    ("auth_required", "Sign-in is missing", "Anmeldung fehlt"),
    ("relay_denied", "Server does not pass it on", "Server leitet nicht weiter"),
    ("tls_required", "Encryption is required", "Verschlüsselung verlangt"),
    ("tls_failed", "No safe encryption", "Keine sichere Verbindung"),
    ("host_unreachable", "Server cannot be reached", "Server nicht erreichbar"),
    ("timeout", "Server does not answer", "Server antwortet nicht"),
    ("server_problem", "Trouble on their server", "Störung auf dem Zielserver"),
    ("protocol_error", "Servers do not get along", "Server verstehen sich nicht"),
    ("message_format", "Mail is malformed", "Mail ist fehlerhaft"),
    ("local_config", "Trouble on our server", "Störung auf unserem Server"),
    ("loop", "Mail went in circles", "Mail lief im Kreis"),
    ("expired", "Tried until time was up", "Zu lange vergeblich versucht"),
    ("queued_delay", "Mail is late", "Mail verspätet sich"),
    ("remote_list", "Mailing list is broken", "Verteiler ist fehlerhaft"),
    ("delivered", "Mail was accepted", "Mail wurde angenommen"),
];

/// The cause of a class in a few words; a class that an admin made up reads "Reason is not known".
pub fn short_cause(class: &str) -> Bilingual<'static> {
    let known = CAUSES.iter().find(|(name, ..)| *name == class);
    let (en, de) = known.map_or(("Reason is not known", "Grund ist nicht bekannt"), |(_, en, de)| (*en, *de));
    Bilingual { en: Cow::Borrowed(en), de: Cow::Borrowed(de) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_short() {
        for (class, en, de) in CAUSES {
            assert!(en.chars().count() <= 28 && de.chars().count() <= 28, "{class}");
        }
    }

    #[test]
    fn a_class_that_nobody_knows_has_words() {
        assert_eq!(short_cause("greylisted").de, "Zum Warten aufgefordert");
        assert_eq!(short_cause("made_up").en, "Reason is not known");
    }
}
