// The shop's front: a page, and /orders, which it passes on to the API.
const http = require("http");

const api = new URL(process.env.API);
const page = `<!doctype html><title>Shop</title>
<p><output>...</output> orders <button>Order</button>
<script>
  const show = async () => (document.querySelector("output").value = (await (await fetch("orders")).json()).orders);
  document.querySelector("button").onclick = () => fetch("orders", { method: "POST" }).then(() => setTimeout(show, 100));
  show();
</script>`;

const server = http.createServer((request, response) => {
  if (request.url !== "/orders") {
    const found = ["/", "/healthz"].includes(request.url);
    response.writeHead(found ? 200 : 404, { "Content-Type": "text/html" }).end(found ? page : "");
    return;
  }
  const asked = http.request(new URL("/orders", api), { method: request.method }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  asked.on("error", (error) => response.writeHead(502).end(`${error.message}\n`));
  asked.end();
});
server.listen(8080);
process.on("SIGTERM", () => server.close(() => process.exit()));
