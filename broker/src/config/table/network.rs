//! Listeners, connections, requests.

use super::{OWN_SOCKETS, OWN_THREADS};
use crate::config::key::Valid::{Any, AtLeast, OneOf};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "advertised.listeners" List None, High ReadOnly Any, Honoured
        "What clients are told to connect to, when it differs from listeners: behind NAT, in containers, with a \
         wildcard address.";
    "allow.insecure.listeners" Boolean Some("false"), High ReadOnly Any, Honoured
        "Permits listeners without encryption and authentication on addresses that other machines reach. Whoever \
         reaches the port can then read, write and delete everything.";
    "connections.max.idle.ms" Long Some("600000"), Medium ReadOnly Any, Honoured
        "A connection that sends nothing for this long is closed.";
    "http.listener" Text Some("127.0.0.1:9644"), Medium ReadOnly Any, Honoured
        "Address of the HTTP server for /metrics, /healthz, /livez and /readyz; empty switches it off.";
    "inter.broker.listener.name" Text None, Medium ReadOnly Any, Honoured
        "Listener that brokers use among each other; must be one of listeners.";
    "listener.security.protocol.map" Text Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Low ReadOnly Any, Honoured
        "Security protocol of each listener name, as NAME:PROTOCOL pairs. This version serves PLAINTEXT.";
    "listeners" List Some("PLAINTEXT://127.0.0.1:9092"), High ReadOnly Any, Honoured
        "Where clients connect, as NAME://host:port, comma separated. An empty host or 0.0.0.0 means every address; \
         anything but loopback also needs allow.insecure.listeners as long as it is not encrypted.";
    "max.connection.creation.rate" Int Some("2147483647"), Medium Cluster AtLeast(0), Honoured
        "New connections a second over all listeners; more wait in the backlog.";
    "max.connections" Int Some("2147483647"), Medium Cluster AtLeast(0), Honoured
        "Connections of this node, over all listeners. Never more than the process may open files.";
    "max.connections.per.ip" Int Some("1000"), Medium Cluster AtLeast(0), Honoured
        "Connections from one address. 0 only makes sense together with overrides.";
    "max.connections.per.ip.overrides" Text Some(""), Medium Cluster Any, Honoured
        "Other limits for single addresses, as host:number, comma separated.";
    "max.in.flight.requests.per.connection" Int Some("64"), Medium ReadOnly AtLeast(1), Honoured
        "Requests of one connection that are worked on before their replies are sent; reading stops above it.";
    "num.io.threads" Int Some("8"), High ReadOnly AtLeast(1), Inert OWN_THREADS;
    "num.network.threads" Int Some("3"), High ReadOnly AtLeast(1), Honoured
        "Threads that serve connections; each reads, works on and answers the requests of its own connections. \
         Defaults to one per core.";
    "queued.max.request.bytes" Long Some("-1"), Medium ReadOnly Any, Honoured
        "Memory that all requests in flight may take together, bytes; at least socket.request.max.bytes. -1 means a \
         quarter of the memory of the machine or its container.";
    "queued.max.requests" Int Some("500"), High ReadOnly AtLeast(1), Inert OWN_THREADS;
    "request.frame.timeout.ms" Long Some("10000"), Medium ReadOnly AtLeast(1), Honoured
        "Time from the first byte of a request to its last; a slower connection is closed.";
    "request.timeout.ms" Int Some("30000"), High ReadOnly Any, Honoured
        "How long the broker waits for the controller to act on a request that brings no timeout of its own.";
    "response.send.timeout.ms" Long Some("60000"), Medium ReadOnly AtLeast(1), Honoured
        "A client that does not read its replies for this long is cut off.";
    "security.inter.broker.protocol" Text Some("PLAINTEXT"),
        Medium ReadOnly OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Honoured
        "Alternative to inter.broker.listener.name: the listener with this protocol. This version serves PLAINTEXT.";
    "socket.connection.setup.timeout.max.ms" Long Some("30000"), Medium ReadOnly Any, Inert OWN_SOCKETS;
    "socket.connection.setup.timeout.ms" Long Some("10000"), Medium ReadOnly Any, Inert OWN_SOCKETS;
    "socket.listen.backlog.size" Int Some("50"), Medium ReadOnly AtLeast(1), Honoured
        "Connections that may wait to be accepted, up to the limit of the system. Defaults to 4096.";
    "socket.receive.buffer.bytes" Int Some("102400"), High ReadOnly Any, Honoured
        "Receive buffer of client sockets, bytes; -1 leaves it to the operating system, which is the default.";
    "socket.request.max.bytes" Int Some("104857600"), High ReadOnly AtLeast(1), Honoured
        "Largest request in bytes. A longer announcement closes the connection before memory is taken for it.";
    "socket.send.buffer.bytes" Int Some("102400"), High ReadOnly Any, Honoured
        "Send buffer of client sockets, bytes; -1 leaves it to the operating system, which is the default.";
}
