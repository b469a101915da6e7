"""Stream connector: records of Kafka or Redis Streams into a running service, each once, whoever dies meanwhile."""
