"""Write what a shop knew of its parcels on a day: `parcels.csv`, one row for each parcel that was ordered before it.

python parcels.py 2025-03-01
"""

import sys

import numpy as np
import pandas as pd


def parcels(until: str, seed: int = 0) -> pd.DataFrame:
    """60 parcels a day since January 2025, which are late more often if they are heavy, go far or travel by road.

    In April, the airport of the shop is closed.

    Args:
        until: The day of the export. A parcel that is not delivered yet has no `late`.
        seed: The start of the random numbers. The same gives the same parcels.
    """
    random = np.random.default_rng(seed)
    start, rows = pd.Timestamp("2025-01-01"), 60 * 120
    ordered = start + pd.to_timedelta(np.sort(random.uniform(0, 120, rows)), unit="D")
    distance, weight = random.gamma(2, 200, rows).round(), random.gamma(2, 2, rows).round(1)
    service = random.choice(["air", "road", "rail"], rows, p=[0.4, 0.4, 0.2])
    closed = (ordered >= pd.Timestamp("2025-04-01")) & (service == "air")
    odds = -3.2 + 0.003 * distance + 0.2 * weight + 1.0 * (service == "road") + 4.0 * closed
    late = random.uniform(size=rows) < 1 / (1 + np.exp(-odds))
    days = 1 + 2 * random.uniform(size=rows) + 2 * late
    table = pd.DataFrame(
        {
            "parcel_id": np.arange(10_001, 10_001 + rows),
            "customer_since": start - pd.to_timedelta(random.integers(30, 3_000, rows), unit="D"),
            "ordered_at": ordered.floor("s"),
            "service": service,
            "distance_km": distance,
            "weight_kg": weight,
            "delivered_at": (ordered + pd.to_timedelta(days, unit="D")).floor("s"),
            "refund": np.where(late, weight.clip(2), 0.0),  # paid when a parcel was late: nobody knows it before
            "late": np.where(late, "yes", "no"),
        }
    )
    table = table[table["ordered_at"] < until]
    table.loc[table["delivered_at"] >= until, ["delivered_at", "refund", "late"]] = None
    return table


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("give the day of the export, such as: python parcels.py 2025-03-01")
    table = parcels(sys.argv[1])
    table.to_csv("parcels.csv", index=False)
    print(f"parcels.csv has {len(table):,} parcels, {table['late'].isna().sum()} of them on their way")
