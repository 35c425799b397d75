// A Node app that keeps the latest order in a state store, through its sidecar.
// It knows no client library, no database and no address but localhost.

const express = require("express");

const port = process.env.APP_PORT || 3000;
const daprPort = process.env.DAPR_HTTP_PORT || 3500;

// Before stores had names, the state API had one store and no name in its
// routes. LEGACY_ROUTES=1 speaks to the sidecar as apps did then.
const store = process.env.STATE_STORE || "statestore";
const statePath = process.env.LEGACY_ROUTES ? "/v1.0/state" : `/v1.0/state/${store}`;
const stateUrl = `http://localhost:${daprPort}${statePath}`;

const app = express();
app.use(express.json());

app.get("/order", async (_req, res) => {
  try {
    const answer = await fetch(`${stateUrl}/order`);
    if (!answer.ok) throw new Error(await answer.text());
    const text = await answer.text(); // empty while there is no order
    res.json(text ? JSON.parse(text) : {});
  } catch (err) {
    console.error("Could not get the order:", err.message);
    res.status(500).json({ message: err.message });
  }
});

app.post("/neworder", async (req, res) => {
  const order = req.body.data;
  console.log(`Got a new order! Order ID: ${order.orderId}`);
  try {
    const answer = await fetch(stateUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify([{ key: "order", value: order }]),
    });
    if (!answer.ok) throw new Error(await answer.text());
    console.log("Successfully persisted state.");
    res.status(200).end();
  } catch (err) {
    console.error("Could not persist the order:", err.message);
    res.status(500).json({ message: err.message });
  }
});

const server = app.listen(port, () => console.log(`Listens on port ${port}, keeps orders at ${statePath}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections(); // the sidecar keeps its connections open
  });
}
