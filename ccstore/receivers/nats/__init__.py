"""Line protocol from NATS: the client protocol, JetStream, and the receiver."""
