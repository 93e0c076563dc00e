"""A push to an OpenTelemetry endpoint, at an interval and at exit."""
