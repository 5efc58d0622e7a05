/** The page: what the detector sees, and what becomes of it. */

import { effect } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { Acquisitions } from "./acquisitions";
import { HistogramPanel, Line } from "./graphs";
import { Head, Notices } from "./notices";
import { PicturePanel } from "./picture";
import { Regions } from "./regions";
import { connection, detector, report, start } from "./state";
import { Summary } from "./summary";

function Page() {
  useEffect(start, []); // once the picture's size is known
  return (
    <>
      <Head />
      <Notices />
      <main>
        <div class="wide">
          <PicturePanel />
          <Line />
          <Acquisitions />
        </div>
        <div class="side">
          <Summary />
          <Regions />
          <HistogramPanel />
        </div>
      </main>
    </>
  );
}

effect(() => {
  const { state } = connection.value;
  const line = state === "open" ? report.value?.status.state : state;
  const name = detector.value.name ?? location.host;
  document.title = `${line ?? "waiting"} · ${name} · srx`;
});

const root = document.getElementById("page");
if (root) {
  root.replaceChildren();
  render(<Page />, root);
}
