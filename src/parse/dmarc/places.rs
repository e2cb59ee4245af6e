//! Where in a report one is, and which element leads where. All that the two standards know stands here.

/// The place that an open element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It holds elements.
    Node(Node),
    /// It holds a value.
    Leaf(Field),
    /// Nobody knows it (an extension), and nobody looks into it.
    Other,
}

/// Elements that hold elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Outside,
    Feedback,
    Metadata,
    DateRange,
    Policy,
    Record,
    Row,
    Evaluated,
    Reason,
    Identifiers,
    Auth,
    Dkim,
    Spf,
}

/// Elements that hold a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Version,
    Org,
    Email,
    Contact,
    ReportId,
    Generator,
    Error,
    Begin,
    End,
    Domain,
    P,
    Sp,
    Np,
    Adkim,
    Aspf,
    Pct,
    Fo,
    Testing,
    Discovery,
    Source,
    Count,
    Disposition,
    DkimAligned,
    SpfAligned,
    ReasonType,
    ReasonComment,
    HeaderFrom,
    EnvelopeFrom,
    EnvelopeTo,
    DkimDomain,
    DkimSelector,
    DkimResult,
    DkimWords,
    SpfDomain,
    SpfScope,
    SpfResult,
    SpfWords,
}

/// The place of an element inside of another. The prefix of its namespace, if it has one, does not matter.
pub(super) fn enter(parent: Place, name: &str) -> Place {
    match find(parent, name) {
        // No known name has a colon: it is looked for where the name is not known.
        Place::Other => name.split_once(':').map_or(Place::Other, |(_, bare)| find(parent, bare)),
        place => place,
    }
}

fn find(parent: Place, name: &str) -> Place {
    match parent {
        Place::Node(node) => match node {
            Node::Outside | Node::Feedback | Node::Record | Node::Auth => nodes(node, name),
            Node::Metadata | Node::DateRange => metadata(node, name),
            Node::Policy => policy(name),
            Node::Row | Node::Evaluated | Node::Reason | Node::Identifiers => row(node, name),
            Node::Dkim | Node::Spf => result(node, name),
        },
        Place::Leaf(_) | Place::Other => Place::Other,
    }
}

fn nodes(parent: Node, name: &str) -> Place {
    Place::Node(match (parent, name) {
        (Node::Outside, "feedback") => Node::Feedback,
        (Node::Feedback, "version") => return Place::Leaf(Field::Version),
        (Node::Feedback, "report_metadata") => Node::Metadata,
        (Node::Feedback, "policy_published") => Node::Policy,
        (Node::Feedback, "record") => Node::Record,
        (Node::Record, "row") => Node::Row,
        // An early draft says `identities`.
        (Node::Record, "identifiers" | "identities") => Node::Identifiers,
        (Node::Record, "auth_results") => Node::Auth,
        (Node::Auth, "dkim") => Node::Dkim,
        (Node::Auth, "spf") => Node::Spf,
        _ => return Place::Other,
    })
}

fn metadata(parent: Node, name: &str) -> Place {
    Place::Leaf(match (parent, name) {
        (Node::Metadata, "date_range") => return Place::Node(Node::DateRange),
        (Node::DateRange, "begin") => Field::Begin,
        (Node::DateRange, "end") => Field::End,
        (Node::Metadata, "org_name") => Field::Org,
        (Node::Metadata, "email") => Field::Email,
        (Node::Metadata, "extra_contact_info") => Field::Contact,
        (Node::Metadata, "report_id") => Field::ReportId,
        (Node::Metadata, "generator") => Field::Generator,
        (Node::Metadata, "error") => Field::Error,
        _ => return Place::Other,
    })
}

fn policy(name: &str) -> Place {
    Place::Leaf(match name {
        "domain" => Field::Domain,
        "p" => Field::P,
        "sp" => Field::Sp,
        "np" => Field::Np,
        "adkim" => Field::Adkim,
        "aspf" => Field::Aspf,
        "pct" => Field::Pct,
        "fo" => Field::Fo,
        "testing" => Field::Testing,
        "discovery_method" => Field::Discovery,
        _ => return Place::Other,
    })
}

fn row(parent: Node, name: &str) -> Place {
    Place::Leaf(match (parent, name) {
        (Node::Row, "policy_evaluated") => return Place::Node(Node::Evaluated),
        (Node::Evaluated, "reason") => return Place::Node(Node::Reason),
        (Node::Row, "source_ip") => Field::Source,
        (Node::Row, "count") => Field::Count,
        (Node::Evaluated, "disposition") => Field::Disposition,
        (Node::Evaluated, "dkim") => Field::DkimAligned,
        (Node::Evaluated, "spf") => Field::SpfAligned,
        (Node::Reason, "type") => Field::ReasonType,
        (Node::Reason, "comment") => Field::ReasonComment,
        (Node::Identifiers, "header_from") => Field::HeaderFrom,
        (Node::Identifiers, "envelope_from") => Field::EnvelopeFrom,
        (Node::Identifiers, "envelope_to") => Field::EnvelopeTo,
        _ => return Place::Other,
    })
}

fn result(parent: Node, name: &str) -> Place {
    Place::Leaf(match (parent, name) {
        (Node::Dkim, "domain") => Field::DkimDomain,
        (Node::Dkim, "selector") => Field::DkimSelector,
        (Node::Dkim, "result") => Field::DkimResult,
        (Node::Dkim, "human_result") => Field::DkimWords,
        (Node::Spf, "domain") => Field::SpfDomain,
        (Node::Spf, "scope") => Field::SpfScope,
        (Node::Spf, "result") => Field::SpfResult,
        (Node::Spf, "human_result") => Field::SpfWords,
        _ => return Place::Other,
    })
}
