"""Which version serves: the deployments topic, and the rules of a rollout."""
