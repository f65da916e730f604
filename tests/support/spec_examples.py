"""The examples of docs/spec.md, one for each section of the keys."""

EXAMPLES = {
    "": """
        name: late-orders
        task: binary
        source: {path: orders/*.parquet}
        columns: {key: [order_id], event_time: ordered_at, label_time: settled_at, target: late}
        maturity: 30d
        """,
    "source.files": "source: {kind: files, path: 's3://shop/*.csv', delimiter: ';', time_format: '%d.%m.%Y %H:%M'}",
    "source.sql": "source: {kind: sql, url: env:SHOP_URL, table: sales.orders, lookback: 60d}",
    "source.http": """
        source:
          kind: http
          url: https://shop.example.com/api/orders
          parameters: {from: '{since}', to: '{until}'}
          records: data.items
          token: block:shop-token
          paging: {kind: cursor, parameter: cursor, path: meta.next}
        """,
    "source.delta": "source: {kind: delta, path: 's3://lake/orders'}",
    "source.python": "source: {kind: python, function: shop.orders:rows}",
    "joins": """
        source:
          path: orders/*.parquet
          joins:
            - source: {kind: sql, url: env:SHOP_URL, table: customer_ratings}
              on: customer_id
              as_of: valid_from
              available_at: loaded_at
              within: 30d
              columns: [rating, segment]
        """,
    "columns": """
        columns:
          key: [order_id]
          event_time: ordered_at
          label_time: settled_at
          target: late
          entity: customer_id
          ignore: [refunded]
          protected: [region]
        """,
    "expectations": """
        expectations:
          max_bad_share: 0.02
          suite:
            - type: expect_column_values_to_not_be_null
              kwargs: {column: price}
            - type: expect_column_values_to_be_between
              kwargs: {column: price, min_value: 0, mostly: 0.99}
        """,
    "training": """
        training:
          metric: average_precision
          window: best
          windows: [90d, 365d, all]
          holdout: 14d
          candidates: [hist_gradient_boosting, logistic_regression, 'shop.models:forest']
          parameters: {'shop.models:forest': {trees: 300}}
          class_weight: balanced
        """,
    "training.search": """
        training:
          search:
            trials: 40
            time: 20m
            spaces: {logistic_regression: {C: {low: 0.01, high: 10, log: true}}}
        """,
    "training.business_value": "training: {business_value: {true_positive: 40, false_positive: -5, unit: EUR}}",
    "gate": """
        gate:
          comparison: non_inferiority
          margin: 0.005
          minimum: {roc_auc: 0.65}
          approval: on_risk
        """,
    "gate.slices": "gate: {slices: {columns: [region], max_loss: 0.02}}",
    "gate.risk": "gate: {approval: on_risk, risk: {probability: medium, impact: high}}",
    "monitoring": """
        monitoring:
          window: 14d
          columns: {month: {ignore: true}, price: {method: jensenshannon, threshold: 0.2}}
          max_loss: 0.15
        """,
    "monitoring.signals": """
        monitoring:
          signals:
            - shop.signals:stock_is_fresh
            - {function: 'shop.signals:returns_share', at_most: 0.2, action: escalate}
        """,
    "monitoring.service_health": "monitoring: {service_health: {token: env:METRICS_TOKEN, max_p99_ms: 50}}",
    "retraining": """
        retraining:
          on: drift
          schedule: 90d
          cooldown: 1d
          budget: {turns: 4, per: 30d}
        """,
    "retraining.user_metrics": """
        retraining:
          user_metrics:
            - metric: acceptance_rate
              source: {kind: sql, url: env:SHOP_URL, table: acceptance}
              time: measured_at
              at_least: 0.8
        """,
    "retraining.cost_benefit": "retraining: {cost_benefit: {value_per_metric_unit: 2.5, cost_per_hour: 3, unit: EUR}}",
    "release": """
        release:
          services: ['http://localhost:8080']
          strategy: canary
          canary: {shares: [0.1, 0.5], bake_time: 2d}
        """,
    "notify": "notify: {critical: pager-duty-webhook/on-call, warning: [slack-webhook/ml-team], again: 12h}",
    "release.serving": "release: {serving: {durability: disk, outliers: refuse, rate: 50}}",
    "release.serving.abstain": "release: {serving: {intervals: 0.9, abstain: {more_than_one_class: true}}}",
    "schedules": 'schedules: {monitoring: "7 6 * * 1-5", scoring: "22 * * * *", timezone: Europe/Berlin}',
    "upkeep": "upkeep: {keep: {predictions: 365d, labels: 365d}, history: 60d}",
}
"""By section; each is part of a spec that is valid."""
