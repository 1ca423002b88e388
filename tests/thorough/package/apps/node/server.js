const http = require("http");
http.createServer((request, response) => response.end("node")).listen(3000);
process.on("SIGTERM", () => process.exit());
