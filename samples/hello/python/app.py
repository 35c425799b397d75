"""Posts an order to the Node app once a second, through its own sidecar.

The standard library is all it needs: the sidecar finds the other app.
"""

import json
import os
import time
import urllib.error
import urllib.request

PORT = os.environ.get("DAPR_HTTP_PORT", "3500")
URL = f"http://localhost:{PORT}/v1.0/invoke/nodeapp/method/neworder"


def send(order_id: int) -> None:
    request = urllib.request.Request(
        URL,
        data=json.dumps({"data": {"orderId": order_id}}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        response.read()


def main() -> None:
    order_id = 0
    while True:
        order_id += 1
        try:
            send(order_id)
            print(f"Sent order {order_id}", flush=True)
        except urllib.error.HTTPError as err:
            print(f"Order {order_id} was refused: {err.code} {err.read().decode()}", flush=True)
        except OSError as err:
            print(f"Order {order_id} was not sent: {err}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
