"""What is measured of the models and the mesh: recorded series, the rules that write them, alerts, dashboards."""
